"""Whether a text has the running text of two-column pages in order, told from the pages alone.

Where lines stand is all that is asked of the PDF, not the order in which it has them. Lines of the
paper's usual sizes (no captions, no tables) stand left of the gutter, right of it, or across it;
those across part the page into bands. A band has two columns where both sides have at least
_FEWEST_LINES. Of each column up to _SNIPPETS snippets of _SNIPPET_WORDS words are taken, from lines
spread over its height.

A text has the page in order if those snippets that it holds exactly once, at least one of either
column, come band by band, left column first, each from top to bottom. Letters and digits are
compared, so hyphens and spaces say nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pymupdf

_FLAGS = pymupdf.TEXTFLAGS_DICT & ~pymupdf.TEXT_PRESERVE_IMAGES
_FEWEST_LINES = 4
_SNIPPETS, _SNIPPET_WORDS = 5, 4
_USUAL = 0.08
"""Least part of a paper's characters in a size of its running text: footnotes have fewer."""
_NARROWEST = 0.2
"""Of the page's width: a column's line; what is shorter may be mathematics or a label."""
_LEAST_OF_PAGES = 0.3
"""A paper with fewer pages in two columns has one column, and a wide table here or there."""
_CAPTION = re.compile(r"\s*(figure|fig\.|table|algorithm)\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TwoColumnPage:
    """Snippets in the order in which they are to be read, squeezed, each with its column."""

    file: str
    page: int
    snippets: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RunningLine:
    x0: float
    y0: float
    x1: float
    text: str


def squeezed(text: str) -> str:
    """Letters and digits only, in lower case."""
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKC", text).lower())


def two_column_pages(folder: Path) -> Iterator[TwoColumnPage]:
    """Those of all papers in a folder."""
    for file in sorted(folder.glob("*.pdf")):
        with pymupdf.open(file) as document:
            pages = [page.get_text("dict", flags=_FLAGS) for page in document]
        sizes = _usual_sizes(pages)
        found = [
            TwoColumnPage(file.name, number, snippets)
            for number, page in enumerate(pages, start=1)
            if (snippets := tuple(_snippets(list(running_lines(page, sizes)), page["width"])))
        ]
        if len(found) >= _LEAST_OF_PAGES * len(pages):
            yield from found


def in_order(page: TwoColumnPage, text: str) -> bool | None:
    """Whether the squeezed text has them in order; None where it holds too few to tell."""
    found = [(column, text.find(s)) for column, s in page.snippets if text.count(s) == 1]
    if {column for column, _ in found} != {"left", "right"}:
        return None
    return all(one < other for (_, one), (_, other) in pairwise(found))


def _usual_sizes(pages: Sequence[dict]) -> set[float]:
    sizes: Counter[float] = Counter()
    for span in (s for p in pages for b in p["blocks"] for line in b["lines"] for s in line["spans"]):
        sizes[round(span["size"])] += len(span["text"])
    return {size for size, count in sizes.items() if count >= _USUAL * sizes.total()}
