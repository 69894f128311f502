"""A PDF's lines in reading order, cleaned, with what their looks tell."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pymupdf

# Images would cost two thirds of the time, and their bytes are of no use here.
_FLAGS = pymupdf.TEXTFLAGS_DICT & ~pymupdf.TEXT_PRESERVE_IMAGES
_BOLD = pymupdf.TEXT_FONT_BOLD
_REPEATS_ON = 0.6
"""Share of the pages that a line must stand on to be a running head."""
_LONGEST_RUNNING_HEAD = 120
_SHORTEST_NUMBER_RUN = 8
# Type 3 fonts of TeX leave these five ligatures as bare control characters.
_LIGATURES = {0x1B: "ff", 0x1C: "fi", 0x1D: "fl", 0x1E: "ffi", 0x1F: "ffl"}
_CONTROL = dict.fromkeys((*range(0x09), 0x0B, *range(0x0E, 0x1B), 0x7F), "")


@dataclass(frozen=True, slots=True)
class Line:
    """One horizontal line. Positions are in PDF points from the page's upper left corner."""

    text: str
    page: int
    block: int
    size: float
    bold: bool
    x0: float
    y0: float
    page_height: float


def read_lines(document: pymupdf.Document) -> list[Line]:
    """Every horizontal line of text but running heads, page numbers and line numbers."""
    lines = [line for page in document for line in _page_lines(page)]
    return _without_repeats(_without_line_numbers(lines), document.page_count)


def clean(text: str) -> str:
    """Ligatures spelled out, control characters gone, white space folded; never a NUL."""
    mended = text.translate(_LIGATURES | _CONTROL)
    mended = "".join(
        unicodedata.normalize("NFKC", char) if "\ufb00" <= char <= "\ufb06" else char
        for char in mended
    )
    # A lone surrogate can be written neither to JSON nor to a database.
    mended = mended.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"\s+", " ", mended).strip()


def _page_lines(page: pymupdf.Page) -> Iterable[Line]:
    for number, block in enumerate(page.get_text("dict", flags=_FLAGS)["blocks"]):
        for line in block.get("lines", ()):
            # Rotated text is a stamp or an axis label, not part of the running text.
            if line["dir"][0] < 0.9:
                continue
            spans = [span for span in line["spans"] if span["text"].strip()]
            text = clean("".join(span["text"] for span in line["spans"]))
            if not spans or not text:
                continue
            longest = max(spans, key=lambda span: len(span["text"]))
            yield Line(
                text=text,
                page=page.number + 1,
                block=number,
                size=round(longest["size"], 1),
                bold=bool(longest["flags"] & _BOLD),
                x0=line["bbox"][0],
                y0=line["bbox"][1],
                page_height=page.rect.height,
            )


def _without_line_numbers(lines: list[Line]) -> list[Line]:
    """Drop the numbers that submissions carry in the margin: long runs of n, n + 1, n + 2, ..."""
    dropped: set[int] = set()
    run: list[int] = []
    for index, line in enumerate(lines):
        if not re.fullmatch(r"\d{1,4}", line.text):
            continue
        if run and int(line.text) == int(lines[run[-1]].text) + 1:
            run.append(index)
        else:
            run = [index]
        if len(run) >= _SHORTEST_NUMBER_RUN:
            dropped.update(run)
    return [line for index, line in enumerate(lines) if index not in dropped]


def _without_repeats(lines: list[Line], pages: int) -> list[Line]:
    """Drop running heads, and numbers that stand alone in the top or bottom margin."""
    seen_on = Counter(text for text, _ in {(_undigit(line.text), line.page) for line in lines})
    return [
        line
        for line in lines
        if not (
            pages > 2
            and len(line.text) <= _LONGEST_RUNNING_HEAD
            and seen_on[_undigit(line.text)] >= max(3, _REPEATS_ON * pages)
            and _in_margin(line)
        )
        and not (line.text.isdigit() and _in_margin(line))
    ]


def _undigit(text: str) -> str:
    return re.sub(r"\d+", "0", text)


def _in_margin(line: Line) -> bool:
    return not 0.1 < line.y0 / line.page_height < 0.9
