"""Makes the API's resource of a paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.api.schemas.paper import (
    Finding,
    LineBox,
    PaperIntegrity,
    PaperResource,
    PaperSection,
    ParagraphInfo,
)
from app.engine.base import Tokenizer
from app.paper.model import Anchor, Paper, Section

_JOINT = len("\n\n")
"""Length of the separator between two paragraphs of a section's text."""


def paper_resource(paper: Paper, tokenizer: Tokenizer | None) -> PaperResource:
    """The paper's resource; without a tokenizer the sections' ``tokens`` are null."""
    counts: Sequence[int | None] = [None] * len(paper.sections)
    if tokenizer:
        counts = tokenizer.count_each(
            [f"{section.heading}\n\n{section.text}" for section in paper.sections]
        )
    return PaperResource(
        title=paper.title,
        title_lines=_lines(paper.title_anchors),
        abstract=paper.abstract,
        abstract_lines=_lines(paper.abstract_anchors),
        sections=[
            PaperSection(
                heading=section.heading,
                level=section.level,
                page=section.page,
                kind=section.kind,
                heading_lines=_lines(section.anchors),
                text=section.text,
                tokens=count,
                paragraphs=list(_paragraphs(section)),
            )
            for section, count in zip(paper.sections, counts, strict=True)
        ],
        pages=paper.pages,
        sha256=paper.sha256,
        integrity=paper_integrity(paper),
    )


def paper_integrity(paper: Paper) -> PaperIntegrity:
    of = paper.integrity
    return PaperIntegrity(
        hidden_text=[Finding.model_validate(found) for found in of.hidden_text],
        visible_instructions=[Finding.model_validate(found) for found in of.visible_instructions],
        blinded=list(of.blinded),
        blinded_characters=of.blinded_characters,
        dropped=dict(of.dropped),
        repaired=of.repaired,
        ocr_pages=list(of.ocr_pages),
        unread=list(of.unread),
    )


def _paragraphs(section: Section) -> Iterator[ParagraphInfo]:
    at = 0
    for paragraph in section.paragraphs:
        end = at + len(paragraph.text)
        lines = _lines(paragraph.anchors, at)
        yield ParagraphInfo(kind=paragraph.kind, start=at, end=end, lines=lines)
        at = end + _JOINT


def _lines(anchors: Sequence[Anchor], offset: int = 0) -> list[LineBox]:
    """The lines of a text that begins ``offset`` characters into the section's."""
    return [
        LineBox(start=offset + a.start, end=offset + a.end, page=a.page, bbox=a.bbox)
        for a in anchors
    ]


def paper_markdown(paper: Paper) -> str:
    """The paper as Markdown."""
    parts = [f"# {paper.title}", "## Abstract", paper.abstract]
    for section in paper.sections:
        if section.heading:
            parts.append(f"{'#' * (section.level + 1)} {section.heading}")
        parts += [paragraph.text for paragraph in section.paragraphs]
    return "\n\n".join(part for part in parts if part) + "\n"
