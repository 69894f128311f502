"""Makes the API's resource of a finished review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.api.schemas.review import (
    Evidence,
    Integrity,
    PaperInfo,
    Point,
    Review,
    ReviewSections,
    SectionInfo,
    Timings,
    TokenUsage,
    Truncation,
    Verdict,
)
from app.paper.model import Paper
from app.resources.paper import paper_integrity
from app.review.evidence import Support
from app.review.packing import Prompt
from app.review.parse import ParsedReview
from app.review.report import ReviewReport
from app.review.template import LISTS, PROSE

NO_EVIDENCE_NOTICE = "The search for evidence in the paper failed: no point was checked."


def review_resource(report: ReviewReport, *, background: bool = False) -> Review:
    """The review's resource. ``background`` is whether it was made in the background."""
    times, usage = report.times, report.usage
    written = report.mode == "review"
    return Review(
        id=report.id,
        created=report.created,
        background=background,
        model=report.model.name,
        notice=_notice(report),
        mode=report.mode,
        template=report.template,
        paper=paper_info(report.paper, report.prompt),
        review=_sections(report.chosen.parsed, report.supports or {}) if written else None,
        verdict=Verdict.model_validate(report.verdict),
        constrained=report.chosen.constrained,
        integrity=_integrity_of(report),
        usage=TokenUsage(
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
            cached_tokens=usage.cached,
        ),
        timings=Timings(
            extract_s=round(times.extract_s, 4),
            queue_s=round(times.queue_s, 4),
            generate_s=round(times.generate_s, 4),
        ),
        finish_reason=report.finish_reason,
        text=report.text,
    )


def _notice(report: ReviewReport) -> str | None:
    """Warnings for readers of the review."""
    notices = [report.model.notice] if report.model.notice else []
    if report.supports is None:
        notices.append(NO_EVIDENCE_NOTICE)
    return " ".join(notices) or None


def _integrity_of(report: ReviewReport) -> Integrity:
    integrity, parsed = prompt_integrity(report.paper, report.prompt), report.chosen.parsed
    if report.with_hidden:
        integrity.verdict_with_hidden_text = Verdict.model_validate(report.with_hidden)
    integrity.cut_sections = list(parsed.cut)
    integrity.repeated_points = parsed.repeated
    return integrity


def prompt_integrity(paper: Paper, prompt: Prompt) -> Integrity:
    """The paper's findings, and the sections that are not fully in the prompt."""
    return Integrity(
        **dict(paper_integrity(paper)),
        truncated=[
            Truncation(
                heading=packed.section.heading,
                page=packed.section.page,
                tokens=packed.tokens,
                kept_tokens=packed.kept,
            )
            for packed in prompt.truncated
        ],
    )


def _sections(parsed: ParsedReview, supports: Mapping[str, Support]) -> ReviewSections:
    """The sections by field, their points with the evidence in ``supports``."""
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
