"""Draws the recognised structure on a PDF's pages, for inspection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pymupdf

from app.paper.model import Anchor, BBox, Paper
from app.paper.pdf.extract import ExtractOptions, extract_paper, open_pdf

Colour = tuple[float, float, float]

_RED: Colour = (0.85, 0.1, 0.1)
_COLOURS: dict[str, Colour] = {
    "title": (0.5, 0.0, 0.5),
    "abstract": (0.0, 0.45, 0.45),
    "heading": (0.8, 0.4, 0.0),
    "text": (0.1, 0.3, 0.8),
    "caption": (0.0, 0.55, 0.2),
    "table": (0.4, 0.5, 0.0),
    "figure": (0.45, 0.45, 0.45),
    "equation": (0.55, 0.35, 0.2),
    "footnote": (0.3, 0.5, 0.7),
}
_LABEL_SIZE = 6.0


@dataclass(frozen=True, slots=True)
class _Box:
    """The part of a recognised block on one page; the label has its number in reading order."""

    page: int
    bbox: BBox
    label: str
    colour: Colour


def draw_overlay(data: bytes, options: ExtractOptions) -> bytes:
    """The PDF with its blocks framed and numbered in reading order, hidden text in red.

    Raises:
        PaperError: the file can't be read; subclasses give the reason.
    """
    paper = extract_paper(data, options)
    with open_pdf(data, options.max_pages) as document:
        for box in (*_blocks(paper), *_findings(paper)):
            _draw(document[box.page - 1], box)
        drawn: bytes = document.tobytes(garbage=1, deflate=True)
    return drawn


def _blocks(paper: Paper) -> Iterator[_Box]:
    for number, (kind, name, anchors) in enumerate(_parts(paper), start=1):
        for page, bbox in _by_column(anchors):
            yield _Box(page, bbox, f"{number} {name}", _COLOURS[kind])


def _parts(paper: Paper) -> Iterator[tuple[str, str, tuple[Anchor, ...]]]:
    yield "title", "title", paper.title_anchors
    yield "abstract", "abstract", paper.abstract_anchors
    for section in paper.sections:
        yield "heading", f"{section.kind} {section.level}", section.anchors
        for paragraph in section.paragraphs:
            yield paragraph.kind, paragraph.kind, paragraph.anchors


def _by_column(anchors: Iterable[Anchor]) -> Iterator[tuple[int, BBox]]:
    """One box for the lines in each column."""
    page, box = 0, (0.0, 0.0, 0.0, 0.0)
    for anchor in anchors:
        x0, y0, x1, y1 = anchor.bbox
        if anchor.page == page and y1 >= box[3] - 1:
            box = (min(box[0], x0), min(box[1], y0), max(box[2], x1), max(box[3], y1))
            continue
        if page:
            yield page, box
        page, box = anchor.page, anchor.bbox
    if page:
        yield page, box


def _findings(paper: Paper) -> Iterator[_Box]:
    for found in (*paper.integrity.hidden_text, *paper.integrity.visible_instructions):
        if found.page:
            yield _Box(found.page, found.bbox, found.kind, _RED)


def _draw(page: pymupdf.Page, box: _Box) -> None:
    # The positions are those on the displayed page; PyMuPDF draws on the page before rotation.
    rect = pymupdf.Rect(box.bbox) * page.derotation_matrix
    rect += (-1, -1, 1, 1)
    page.draw_rect(rect, color=box.colour, width=0.6, overlay=True)
    page.insert_text(
        (rect.x0, rect.y0 - 1.5),
        box.label,
        fontsize=_LABEL_SIZE,
        color=box.colour,
        rotate=page.rotation,
        overlay=True,
    )
