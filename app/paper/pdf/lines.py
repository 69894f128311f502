"""The lines of a PDF's pages in the file's order, with their fonts and sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import pymupdf

from app.paper.clean import clean
from app.paper.model import BBox

# Images are not needed, and would take two thirds of the time. ActualText is a replacement text in
# the PDF that a reader of the page does not see.
FLAGS: int = pymupdf.TEXTFLAGS_DICT & ~pymupdf.TEXT_PRESERVE_IMAGES | pymupdf.TEXT_IGNORE_ACTUALTEXT
_BOLD = pymupdf.TEXT_FONT_BOLD
_SUPERSCRIPT = pymupdf.TEXT_FONT_SUPERSCRIPT
# Fonts that are bold by their names but not by their flags.
_BOLD_NAME = re.compile(r"bold|black|heavy|medi(?!um)|CMBX|SFBX|-B$", re.IGNORECASE)
_MATH_NAME = re.compile(
    r"CM(MI|SY|EX|BSY|MIB)|MSAM|MSBM|EU[FRS][MB]|math|symbol|rsfs|stmary|[tp]x(sy|mi|ex)|wasy",
    re.IGNORECASE,
)
_RAISED = re.compile(r"\s*[-−–+]?\d|\s*[-−–]$")
_SAME_BASELINE = 0.4
"""Largest distance of the baselines of two pieces of a line, as a share of its height."""
_CELL_GAP = 1.6
"""Least gap between a table's cells, in ems."""

SpanKey = tuple[int, int, int]
"""Block, line and span numbers in the dict of a page."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text.

    ``size`` is its largest font size; ``font`` and ``bold`` are those of most characters. ``lead``
    is the number of characters of a bold beginning; ``opening`` that of a beginning in the font
    ``opens_in``, if the rest has another font. ``cells`` is the number of pieces between wide gaps,
    ``symbols`` the share of characters in fonts for mathematics, ``marks`` the superscripts.
    ``uniform`` is true if all other characters are in one font.
    """

    text: str
    page: int
    block: int
    bbox: BBox
    size: float
    font: str
    bold: bool
    lead: int = 0
    opening: int = 0
    opens_in: str = ""
    cells: int = 1
    symbols: float = 0.0
    marks: tuple[str, ...] = ()
    direction: tuple[float, float] = (1.0, 0.0)
    uniform: bool = True

    @property
    def upright(self) -> bool:
        return self.direction[0] > 0.9

    @property
    def x0(self) -> float:
        return self.bbox[0]

    @property
    def y0(self) -> float:
        return self.bbox[1]

    @property
    def x1(self) -> float:
        return self.bbox[2]

    @property
    def y1(self) -> float:
        return self.bbox[3]


def page_lines(
    page: pymupdf.Page, content: Mapping[str, Any], visible: Mapping[SpanKey, str]
) -> list[Line]:
    """The lines of one page; ``content`` is its text as a dict.

    ``visible`` has the visible text of spans that are hidden completely or in part.
    """
    found = []
    for block_number, block in enumerate(content["blocks"]):
        for line_number, line in enumerate(block.get("lines", ())):
            spans = line["spans"]
            if visible:
                spans = [
                    span
                    if (seen := visible.get((block_number, line_number, index))) is None
                    else {**span, "text": seen}
                    for index, span in enumerate(spans)
                ]
            read = _read_line(spans, line, page.number + 1, block_number)
            if read:
                found.append(read)
    return [_turned(line, page.rotation_matrix) for line in found] if page.rotation else found


def _turned(line: Line, matrix: pymupdf.Matrix) -> Line:
    """The line with its position on the displayed page; MuPDF's are those before rotation."""
    direction = pymupdf.Point(line.direction) * pymupdf.Matrix(*tuple(matrix)[:4], 0, 0)
    return replace(
        line, bbox=tuple(pymupdf.Rect(line.bbox) * matrix), direction=(direction.x, direction.y)
    )


def _read_line(
    spans: Sequence[Mapping[str, Any]], line: Mapping[str, Any], page: int, block: int
) -> Line | None:
    texts = _texts(spans)
    text = clean("".join(texts))
    if not text:
        return None
    fonts: dict[str, int] = {}
    bold_fonts: set[str] = set()
    size = 0.0
    lead = opening = passed = 0
    in_lead = in_opening = True
    opens_in = ""
    marks: list[str] = []
    for span, said in zip(spans, texts, strict=True):
        font = span["font"]
        passed += len(said)
        if not said or said.isspace():
            continue
        if span["flags"] & _SUPERSCRIPT:
            marks.append(span["text"].strip())
            continue
        fonts[font] = fonts.get(font, 0) + len(said)
        size = max(size, span["size"])
        is_math = _is_math(font)
        if span["flags"] & _BOLD or _is_bold_name(font):
            bold_fonts.add(font)
            lead = passed if in_lead else lead
        elif in_lead and not is_math:
            # A formula in a bold heading is usually not bold, and does not end the bold part.
            in_lead = False
        opens_in = opens_in or ("" if is_math else font)
        if in_opening and font == opens_in:
            opening = passed
        elif not is_math:
            in_opening = False
    if not fonts:
        fonts[spans[0]["font"]] = 1
        size = max(span["size"] for span in spans)
    font = max(fonts, key=fonts.__getitem__)
    faces = [name for name in fonts if not _is_math(name)]
    return Line(
        text=text,
        page=page,
        block=block,
        bbox=line["bbox"],
        size=round(size, 1),
        font=font,
        bold=lead >= len(text) or font in bold_fonts,
        lead=min(lead, len(text)),
        opening=0 if in_opening else min(opening, len(text)),
        opens_in=opens_in,
        symbols=1 - sum(fonts[name] for name in faces) / sum(fonts.values()),
        marks=tuple(marks),
        direction=line["dir"],
        uniform=len(faces) <= 1,
    )


def _texts(spans: Sequence[Mapping[str, Any]]) -> list[str]:
    """The spans' texts, with ``^`` before superscripts that would look like part of a number."""
    texts: list[str] = []
    before = ""
    for span in spans:
        said = span["text"]
        if span["flags"] & _SUPERSCRIPT and _RAISED.match(said):
            is_power = said.lstrip()[0] in "-−–" and before[-1:].isalpha()
            if before[-1:].isdigit() or is_power:
                said = "^" + said.lstrip()
        texts.append(said)
        before = said or before
    return texts


@lru_cache(maxsize=4096)
def _is_bold_name(font: str) -> bool:
    return _BOLD_NAME.search(font) is not None


@lru_cache(maxsize=4096)
def _is_math(font: str) -> bool:
    return _MATH_NAME.search(font) is not None


def rows(lines: Iterable[Line]) -> list[Line]:
    """Merge pieces on the same baseline of a block: words with wide gaps, or a table's cells."""
    merged: list[Line] = []
    for line in lines:
        if merged and _continues(merged[-1], line):
            merged[-1] = _merged(merged[-1], line)
        else:
            merged.append(line)
    return merged


def _continues(left: Line, right: Line) -> bool:
    tolerance = _SAME_BASELINE * min(left.y1 - left.y0, right.y1 - right.y0)
    return (
        (left.page, left.block) == (right.page, right.block)
        and abs(left.y1 - right.y1) <= tolerance
        and right.x0 >= left.x1 - 1
    )


def _opening(left: Line, right: Line) -> int:
    if left.opening:
        return left.opening
    if left.opens_in != right.opens_in:
        return len(left.text)
    return len(left.text) + 1 + right.opening if right.opening else 0


def _merged(left: Line, right: Line) -> Line:
    long, short = (left, right) if len(left.text) >= len(right.text) else (right, left)
    whole = len(left.text) + len(right.text)
    return replace(
        long,
        text=f"{left.text} {right.text}",
        bbox=(
            left.x0,
            min(left.y0, right.y0),
            right.x1,
            max(left.y1, right.y1),
        ),
        size=max(left.size, right.size),
        lead=len(left.text) + 1 + right.lead if left.lead >= len(left.text) else left.lead,
        opening=_opening(left, right),
        opens_in=left.opens_in,
        cells=left.cells + right.cells - (right.x0 - left.x1 < _CELL_GAP * short.size),
        symbols=(left.symbols * len(left.text) + right.symbols * len(right.text)) / whole,
        marks=left.marks + right.marks,
        uniform=left.uniform and right.uniform and left.font == right.font,
    )
