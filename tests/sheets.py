"""Pages for the tests, set line by line in the fonts and sizes that a field uses."""

from __future__ import annotations

from collections.abc import Sequence

import pymupdf

from app.paper.model import Paper
from app.paper.pdf.extract import ExtractOptions, extract_paper

ROMAN, BOLD, ITALIC, SANS = "tiro", "tibo", "tiit", "helv"
Row = tuple[tuple[str, str], ...]
"""One line: texts and their fonts, side by side."""
Column = Sequence[tuple[float, Row]]
"""Lines from the top down, each with its size; white space is a line without texts."""

SPACE: tuple[float, Row] = (6, ())
ABSTRACT = (
    "We ask how papers are set and find that no two fields agree on it at all, which makes it hard "
    "to read them all by one rule. We measure ten layouts on a thousand pages and report what each "
    "of them has in common with the others. Reading by the looks of lines works in nine of the ten "
    "layouts, and the tenth is no paper, as we show."
)
TITLE = "Layouts of Papers Across Fields"
SENTENCE = "The words of this section fill its lines and say nothing that anyone remembers. "


def lines(
    text: str, width: int = 90, size: float = 10, font: str = ROMAN
) -> list[tuple[float, Row]]:
    """A paragraph: its lines of at most ``width`` characters."""
    made = [""]
    for word in text.split():
        if len(made[-1]) + len(word) >= width:
            made.append("")
        made[-1] = f"{made[-1]} {word}".strip()
    return [(size, ((line, font),)) for line in made]


def heading(text: str, size: float = 12, font: str = BOLD) -> list[tuple[float, Row]]:
    return [SPACE, SPACE, (size, ((text, font),)), SPACE]


def section(name: str, width: int = 90, size: float = 12, font: str = BOLD) -> Column:
    return [
        *heading(name, size, font),
        *lines(SENTENCE * 6, width),
        SPACE,
        *lines(SENTENCE * 3, width),
    ]


def references(name: str, width: int = 90) -> Column:
    entries = [
        line
        for n in range(1, 13)
        for line in lines(
            f"[{n}] A. Nobody and B. Somebody. On the number {n}. Numbers, 20{n:02}.", width
        )
    ]
    return [*heading(name), *entries]


def sheet(document: pymupdf.Document, *columns: Column, top: float = 60) -> pymupdf.Page:
    page = document.new_page(width=612, height=792)
    for number, column in enumerate(columns):
        y = top
        for size, row in column:
            y += 1.2 * size
            place(page, 54 + number * 258.0, y, [(text, font, size) for text, font in row], " ")
    return page


def place(
    page: pymupdf.Page,
    x: float,
    y: float,
    pieces: Sequence[tuple[str, str, float]],
    space: str = "",
) -> None:
    """Texts in a font and a size each, side by side on one baseline."""
    for text, font, size in pieces:
        face = pymupdf.Font(font)
        writer = pymupdf.TextWriter(page.rect)
        writer.append((x, y), text, face, size)
        writer.write_text(page)
        x += face.text_length(text + space, size)


def read(*pages: Column | tuple[Column, ...], blind: bool = False) -> Paper:
    with pymupdf.open() as document:
        for page in pages:
            sheet(document, *(page if isinstance(page, tuple) else (page,)))
        return extract_paper(document.tobytes(), ExtractOptions(max_pages=50, blind=blind))


def headings(paper: Paper, *kinds: str) -> list[str]:
    return [
        part.heading
        for part in paper.sections
        if part.heading and (part.kind in kinds or not kinds)
    ]


def front(*more: Column) -> Column:
    return [
        (17, ((TITLE, BOLD),)), SPACE, (11, (("Jane Doe", ROMAN),)),
        (10, (("Department of Examples, University of Somewhere", ROMAN),)), SPACE,
        *(line for column in more for line in column),
    ]  # fmt: skip
