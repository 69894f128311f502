"""Reads papers from a JSON Lines file, in sections or as Markdown, with their human reviews.

Markdown is parsed with the service's code. ``training/README.md`` describes the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from app.errors import PaperError
from app.paper.model import Paper
from app.paper.text import paper_from_markdown
from app.review.decision import Decision
from training.jsonl import read_rows
from training.recipe_sources import JsonlSource
from training.rows import HumanReview, PaperRow, Rejected, SectionRow
from training.sources import Read, balanced_sample


class _Review(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    meta: bool = False
    recommendation: float | None = None
    confidence: float | None = None
    clarity: float | None = None
    impact: float | None = None
    originality: float | None = None


class _Paper(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    venue: str
    accepted: bool | None = None
    title: str = ""
    abstract: str = ""
    sections: list[SectionRow] = []
    markdown: str = ""
    reviews: list[_Review] = []
    ratings: list[float] = []
    """For papers whose ratings come without reviews."""


def papers(source: JsonlSource, seed: int) -> Iterator[Read]:
    """The papers of the file.

    Raises:
        InputMissing: there is no such file.
        InputInvalid: a line is not a paper.
    """
    rows = list(read_rows(source.path, _Paper))
    for paper in balanced_sample(rows, lambda row: bool(row.accepted), source.most, seed):
        yield _read(paper, source)


def _read(paper: _Paper, source: JsonlSource) -> Read:
    row_id = f"jsonl/{paper.venue}/{paper.id}"
    title, abstract, sections = paper.title, paper.abstract, tuple(paper.sections)
    if paper.markdown:
        try:
            read = paper_from_markdown(paper.markdown)
        except PaperError as error:
            return _rejected(row_id, error.code, str(error))
        title, abstract = title or read.title, abstract or read.abstract
        sections = sections_of(read)
    if not any(section.text.strip() for section in sections):
        return _rejected(row_id, "no_text", "")
    reviews = tuple(map(_human, paper.reviews))
    review_ratings = [r.rating for r in reviews if not r.meta and r.rating is not None]
    return PaperRow(
        id=row_id,
        source="jsonl",
        venue=paper.venue,
        split=source.split,
        title=title,
        abstract=abstract,
        sections=sections,
        decision=_decision(paper.accepted),
        decision_source="the file's 'accepted'",
        ratings=tuple(review_ratings or paper.ratings),
        rating_scale=source.rating_scale,
        reviews=reviews,
    )


def _decision(accepted: bool | None) -> Decision | None:
    if accepted is None:
        return None
    return "accept" if accepted else "reject"


def _rejected(row_id: str, reason: str, detail: str) -> Rejected:
    return Rejected(id=row_id, paper=row_id, source="jsonl", reason=reason, detail=detail)


def sections_of(paper: Paper) -> tuple[SectionRow, ...]:
    """A paper's sections as rows, with one line for each paragraph."""
    return tuple(
        SectionRow(
            heading=section.heading,
            text="\n".join(" ".join(part.text.split()) for part in section.paragraphs),
        )
        for section in paper.sections
    )


def _human(review: _Review) -> HumanReview:
    aspects: Sequence[tuple[str, float | None]] = (
        ("clarity", review.clarity),
        ("impact", review.impact),
        ("originality", review.originality),
    )
    return HumanReview(
        text=review.text,
        meta=review.meta,
        rating=review.recommendation,
        confidence=review.confidence,
        scores={name: value for name, value in aspects if value is not None},
    )
