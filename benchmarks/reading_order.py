"""Whether a text has the running text of two-column pages in reading order.

A page has two columns if few lines of running text cross its middle and both sides have at least
eight. From each column, four snippets of four words are taken from lines spread over its height.
Captions, headings, notes and tables (other sizes, other typefaces, short lines) are not used, as an
extractor may move them. The page is in order if the snippets that the text has exactly once
(letters and digits only; at least four of them) are in order: the left column first, each from top
to bottom.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pymupdf

_FLAGS = pymupdf.TEXTFLAGS_DICT & ~pymupdf.TEXT_PRESERVE_IMAGES
_FEWEST_LINES = 8
_SNIPPETS, _SNIPPET_WORDS, _LINE_WORDS = 4, 4, 6
_MOSTLY = 0.6
"""Least part of a line's characters in the face of the running text; the rest is mathematics."""
_FEWEST_FOUND = 4
_MOST_CROSSING = 0.1
_LEAST_OF_PAGES = 0.3
"""A paper with fewer pages in two columns has one column, and a wide table here or there."""


@dataclass(frozen=True, slots=True)
class TwoColumnPage:
    """A page's snippets in the order in which they are to be read, squeezed."""

    file: str
    page: int
    snippets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    x0: float
    y0: float
    x1: float
    text: str


def squeezed(text: str) -> str:
    """Letters and digits only, in lower case: hyphens and spaces are not what is asked."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def two_column_pages(folder: Path) -> Iterator[TwoColumnPage]:
    """Those of all papers in a folder that are set in two columns."""
    for file in sorted(folder.glob("*.pdf")):
        with pymupdf.open(file) as document:
            found = [
                TwoColumnPage(file.name, page.number + 1, tuple(snippets))
                for page in document
                if (snippets := _snippets(page))
            ]
            if len(found) >= _LEAST_OF_PAGES * document.page_count:
                yield from found


def in_order(page: TwoColumnPage, text: str) -> bool | None:
    """Whether the squeezed text has them in order; None where it holds too few to tell."""
    places = [text.find(snippet) for snippet in page.snippets if text.count(snippet) == 1]
    if len(places) < _FEWEST_FOUND:
        return None
    return all(one < other for one, other in pairwise(places))


def _snippets(page: pymupdf.Page) -> list[str]:
    lines = list(_running_lines(page))
    middle = page.rect.width / 2
    crossing = sum(line.x0 < middle - 5 and line.x1 > middle + 5 for line in lines)
    left = [line for line in lines if line.x1 <= middle + 5]
    right = [line for line in lines if line.x0 >= middle - 5]
    if crossing > _MOST_CROSSING * len(lines) or min(len(left), len(right)) < _FEWEST_LINES:
        return []
    return [*_of_column(left), *_of_column(right)]


def _of_column(lines: Sequence[_Line]) -> Iterator[str]:
    column = sorted(lines, key=lambda line: line.y0)
    for number in range(_SNIPPETS):
        words = column[(2 * number + 1) * len(column) // (2 * _SNIPPETS)].text.split()
        yield squeezed(" ".join(words[1 : 1 + _SNIPPET_WORDS]))


def _running_lines(page: pymupdf.Page) -> Iterator[_Line]:
    """Long lines that are mostly in the page's commonest face, outside captions and references."""
    blocks = page.get_text("dict", flags=_FLAGS)["blocks"]
    faces: Counter[tuple[str, float]] = Counter()
    for block in blocks:
        for line in block["lines"]:
            for span in line["spans"]:
                faces[span["font"], round(span["size"], 1)] += len(span["text"])
    usual = max(faces, key=faces.__getitem__, default=("", 0.0))
    for block in blocks:
        whole = " ".join(s["text"] for line in block["lines"] for s in line["spans"])
        if re.match(r"\s*(figure|fig\.|table|algorithm|\[\d+\])", whole, re.IGNORECASE):
            continue
        for line in block["lines"]:
            text = "".join(span["text"] for span in line["spans"])
            in_face = sum(
                len(span["text"])
                for span in line["spans"]
                if (span["font"], round(span["size"], 1)) == usual
            )
            running = in_face >= _MOSTLY * len(text) and len(text.split()) >= _LINE_WORDS
            if running and line["dir"][0] > 0.9:
                x0, y0, x1, _ = line["bbox"]
                yield _Line(x0, y0, x1, text)
