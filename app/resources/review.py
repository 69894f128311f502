"""What is known of a finished review -> the resource that the API answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.api.schemas.review import (
    Evidence,
    Integrity,
    PaperInfo,
    Point,
    ReviewSections,
    SectionInfo,
    TokenUsage,
    Truncation,
    Verdict,
)
from app.engine.base import ServedModel, Usage
from app.paper.model import Paper
from app.resources.paper import paper_integrity
from app.review.evidence import Support
from app.review.packing import Prompt
from app.review.parse import ParsedReview
from app.review.template import LISTS, PROSE

TRIAL_NOTICE = (
    "Written by a tiny model that is there to try the service. This review and its verdict are "
    "worth nothing."
)
NO_EVIDENCE_NOTICE = "The paper could not be searched for evidence: no point was checked."


def notice_of(model: ServedModel, supports: Mapping[str, Support] | None) -> str | None:
    """What a reader must know; ``supports`` is None where no evidence could be looked for."""
    notices = [TRIAL_NOTICE] if model.for_trial else []
    if supports is None:
        notices.append(NO_EVIDENCE_NOTICE)
    return " ".join(notices) or None


def review_sections(parsed: ParsedReview, supports: Mapping[str, Support]) -> ReviewSections:
    """The sections by their fields; ``supports`` has what was found of each point's text."""
    other: dict[str, str | list[str]] = {
        field: text for field, text in parsed.prose.items() if field not in PROSE
    }
    other |= {field: list(texts) for field, texts in parsed.points.items() if field not in LISTS}
    return ReviewSections(
        **{field: text for field, text in parsed.prose.items() if field in PROSE},
        strengths=_points(parsed.points.get("strengths", ()), supports),
        weaknesses=_points(parsed.points.get("weaknesses", ()), supports),
        other=other,
    )


def claims(parsed: ParsedReview) -> list[str]:
    """The points whose evidence is looked for."""
    return [text for field in LISTS for text in parsed.points.get(field, ())]


def _points(texts: Sequence[str], supports: Mapping[str, Support]) -> list[Point]:
    return [_point(text, supports.get(text, Support())) for text in texts]


def _point(text: str, support: Support) -> Point:
    return Point(
        text=text,
        evidence=[Evidence.model_validate(passage) for passage in support.evidence],
        unsupported=list(support.unsupported),
    )


def paper_info(paper: Paper, prompt: Prompt) -> PaperInfo:
    return PaperInfo(
        title=paper.title,
        abstract=paper.abstract,
        pages=paper.pages,
        sha256=paper.sha256,
        sections=[
            SectionInfo(
                heading=packed.section.heading,
                level=packed.section.level,
                page=packed.section.page,
                kind=packed.section.kind,
                tokens=packed.tokens,
                included=packed.kept > 0,
            )
            for packed in prompt.sections
        ],
    )


def review_integrity(
    paper: Paper,
    prompt: Prompt,
    parsed: ParsedReview | None = None,
    with_hidden: Verdict | None = None,
) -> Integrity:
    """What is odd about the paper, what the model has not seen of it, and, once that is ``parsed``,
    what is left out of its review.
    """
    truncated = [
        Truncation(
            heading=packed.section.heading,
            page=packed.section.page,
            tokens=packed.tokens,
            kept_tokens=packed.kept,
        )
        for packed in prompt.sections
        if packed.kept < packed.tokens
    ]
    return Integrity(
        **dict(paper_integrity(paper)),
        truncated=truncated,
        verdict_with_hidden_text=with_hidden,
        cut_sections=list(parsed.cut) if parsed else [],
        repeated_points=parsed.repeated if parsed else 0,
    )


def token_usage(usage: Usage) -> TokenUsage:
    return TokenUsage(
        prompt_tokens=usage.prompt,
        completion_tokens=usage.completion,
        cached_tokens=usage.cached,
    )
