"""Screens a paper from any source: flags instructions to reviewers, and blinds it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.paper.model import Anchor, BBox, Finding, Paper, Paragraph
from app.paper.screening.blinding import blind_paper
from app.paper.screening.instructions import find_instructions

_NOWHERE: BBox = (0.0, 0.0, 0.0, 0.0)


def screen(paper: Paper, blind: bool) -> Paper:
    """The paper with visible instructions to reviewers flagged, and blinded if ``blind``."""
    found = tuple(
        finding for paragraph in _paragraphs(paper) for finding in _instructions(paragraph)
    )
    flagged = replace(paper, integrity=replace(paper.integrity, visible_instructions=found))
    return blind_paper(flagged) if blind else flagged


def _paragraphs(paper: Paper) -> Iterator[Paragraph]:
    yield Paragraph(paper.title)
    yield Paragraph(paper.abstract, anchors=paper.abstract_anchors)
    for section in paper.sections:
        yield Paragraph(section.heading, anchors=section.anchors)
        yield from section.paragraphs


def _instructions(paragraph: Paragraph) -> Iterator[Finding]:
    for start, end in find_instructions(paragraph.text):
        anchors = [a for a in paragraph.anchors if a.start < end and start < a.end]
        page = anchors[0].page if anchors else 0
        yield Finding(page, "visible_instruction", paragraph.text[start:end], _box(anchors, page))


def _box(anchors: list[Anchor], page: int) -> BBox:
    boxes = [anchor.bbox for anchor in anchors if anchor.page == page]
    if not boxes:
        return _NOWHERE
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)
