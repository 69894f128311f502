"""Papers and human reviews in the format of the NeurIPS 2025 files (see training/README.md)."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from app.review.decision import Decision
from training.jsonl import read_rows
from training.recipe import FileSource
from training.rows import HumanReview, PaperRow, Rejected, SectionRow
from training.sources import Read, drawn

RATING_SCALE = (1.0, 6.0)


class _Review(msgspec.Struct, forbid_unknown_fields=True):
    meta: bool
    text: str
    recommendation: int | None = None
    confidence: int | None = None
    clarity: int | None = None
    impact: int | None = None
    originality: int | None = None


class _Paper(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    venue: str
    title: str
    abstract: str
    accepted: bool
    sections: list[SectionRow]
    reviews: list[_Review]


def papers(source: FileSource, seed: int) -> Iterator[Read]:
    """
    Raises:
        InputMissing, InputInvalid: the file isn't there, or a line of it is no paper.
    """
    for paper in _chosen(list(read_rows(source.path, _Paper)), source.most, seed):
        row = _row(paper, source.split)
        if any(section.text.strip() for section in row.sections):
            yield row
        else:
            yield Rejected(id=row.id, paper=row.id, source=row.source, reason="no_text")


def _chosen(rows: list[_Paper], most: int | None, seed: int) -> list[_Paper]:
    """``most`` of them, as near to 1:1 by decision as there are."""
    if most is None or most >= len(rows):
        return rows
    sides = [[row for row in rows if row.accepted is side] for side in (True, False)]
    smaller = min(sides, key=len)
    few = min(len(smaller), most // 2)
    chosen = {
        row.id
        for side in sides
        for row in drawn(side, few if side is smaller else most - few, seed)
    }
    return [row for row in rows if row.id in chosen]


def _row(paper: _Paper, split: str) -> PaperRow:
    reviews = tuple(map(_human, paper.reviews))
    decision: Decision = "accept" if paper.accepted else "reject"
    return PaperRow(
        id=f"neurips2025/{paper.id}",
        source="neurips2025",
        venue=paper.venue,
        split=split,
        title=paper.title,
        abstract=paper.abstract,
        sections=tuple(paper.sections),
        decision=decision,
        decision_source="the file's 'accepted'",
        ratings=tuple(r.rating for r in reviews if not r.meta and r.rating is not None),
        rating_scale=RATING_SCALE,
        reviews=reviews,
    )


def _human(review: _Review) -> HumanReview:
    aspects = {
        "clarity": review.clarity,
        "impact": review.impact,
        "originality": review.originality,
    }
    return HumanReview(
        text=review.text,
        meta=review.meta,
        rating=review.recommendation,
        confidence=review.confidence,
        scores={name: value for name, value in aspects.items() if value is not None},
    )
