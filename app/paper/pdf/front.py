"""Finds the title, the abstract and the front matter, which precede a paper's text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.paper.model import ParagraphKind
from app.paper.pdf.abstract import (
    announced_abstract,
    block_of,
    heading_length,
    same_face,
    unannounced_abstract,
)
from app.paper.pdf.headings import Heading
from app.paper.pdf.labels import Body
from app.paper.pdf.lines import Line
from app.paper.pdf.title import find_title
from app.paper.screening.identity import KEYWORDS, is_about_authors

_LARGER = 0.4
"""Points by which a title is larger than text."""
_FEWEST_PROSE = 200
"""Fewest characters of lines in the body's typeface that are text and not front matter."""


@dataclass(frozen=True, slots=True)
class Front:
    """Indices of the lines of title, abstract and front matter (authors, banners, notes).

    All other lines belong to the body. The first ``abstract_skip`` characters of the abstract's
    first line are its heading.
    """

    title: tuple[int, ...]
    abstract: tuple[int, ...]
    matter: tuple[int, ...]
    abstract_skip: int

    def has(self, heading: Heading) -> bool:
        """Whether one of the heading's lines is in the front."""
        own = range(heading.start, max(heading.stop, heading.start + 1))
        return any(
            index in own for part in (self.title, self.abstract, self.matter) for index in part
        )


def find_front(
    lines: Sequence[Line],
    labels: Sequence[ParagraphKind],
    headings: Sequence[Heading],
    abstract_heading: int | None,
    body: Body,
) -> Front:
    """Find the front. ``headings`` are the headings after that of the abstract.

    Front matter ends with the paper's first page, which has its abstract or its title.
    """
    first = headings[0].start if headings else len(lines)
    if abstract_heading is None:
        return _unannounced_front(lines, labels, headings, body)
    heading = lines[abstract_heading]
    title = _title_before(lines, abstract_heading, body)
    found = announced_abstract(lines, labels, abstract_heading, first, body)
    abstract = tuple(index for index in found if index not in title)
    skip = heading_length(heading) if abstract[:1] == (abstract_heading,) else 0
    used = {*title, *abstract}
    matter = [
        *(index for index in range(abstract_heading) if not _is_text(lines, index, heading, body)),
        *([] if skip else [abstract_heading]),
        *_after_abstract(lines, labels, abstract_heading, first, used, body),
        *_between(lines, title, heading.page, heading.y0),
    ]
    return Front(title, abstract, tuple(sorted({*matter} - used)), skip)


def _title_before(lines: Sequence[Line], abstract_heading: int, body: Body) -> tuple[int, ...]:
    """The title on the abstract's page, or on a title page before it."""
    heading = lines[abstract_heading]
    pages = range(heading.page, 0, -1)
    titles = [find_title(lines, page, abstract_heading, heading.y0) for page in pages]
    for title in titles:
        if title and (lines[title[0]].bold or lines[title[0]].size > body.size + _LARGER):
            return title
    return next(filter(None, titles), ())


def _is_text(lines: Sequence[Line], index: int, heading: Line, body: Body) -> bool:
    """Whether a line before the abstract, in the file's order, is running text below it."""
    line = lines[index]
    return (
        line.page == heading.page
        and line.y0 > heading.y1
        and same_face(line, body)
        and not is_about_authors(line.text)
    )


def _after_abstract(
    lines: Sequence[Line],
    labels: Sequence[ParagraphKind],
    start: int,
    first_heading: int,
    used: set[int],
    body: Body,
) -> Iterator[int]:
    """Keywords, notes and addresses between the abstract and the first heading."""
    last = max((lines[index].page for index in used), default=lines[start].page)
    rest = [
        index
        for index in range(start + 1, first_heading)
        if index not in used and lines[index].page <= last
    ]
    prose = _in_prose(lines, rest, body)
    in_keywords = False
    for block in _blocks(lines, rest):
        text = " ".join(lines[index].text for index in block)
        in_keywords = KEYWORDS.match(text) is not None or (
            in_keywords and len(text) < _FEWEST_PROSE
        )
        is_prose = all(index in prose for index in block)
        if all(labels[index] in ("caption", "table", "figure") for index in block):
            # A figure on the first page. Short labels of a figure may also be addresses.
            if in_keywords or (labels[block[0]] == "figure" and is_about_authors(text)):
                yield from block
        elif in_keywords or not is_prose or all(is_about_authors(lines[i].text) for i in block):
            yield from block


def _in_prose(lines: Sequence[Line], indices: Sequence[int], body: Body) -> set[int]:
    """The lines of long runs in the body's typeface, across blocks."""
    found: set[int] = set()
    run: list[int] = []
    for index in [*indices, -1]:
        if index >= 0 and same_face(lines[index], body) and (not run or index == run[-1] + 1):
            run.append(index)
            continue
        if sum(_length(lines[at].text) for at in run) >= _FEWEST_PROSE:
            found.update(run)
        run = [index] if index >= 0 and same_face(lines[index], body) else []
    return found


def _length(text: str) -> int:
    """The number of characters; a Chinese or Japanese one counts as three."""
    return len(text) + 2 * sum("\u3040" <= char <= "\u9fff" for char in text)


def _blocks(lines: Sequence[Line], indices: Iterable[int]) -> Iterator[list[int]]:
    block: list[int] = []
    for index in indices:
        if block and block_of(lines[index]) != block_of(lines[block[-1]]):
            yield block
            block = []
        block.append(index)
    if block:
        yield block


def _between(lines: Sequence[Line], title: Sequence[int], page: int, top: float) -> Iterator[int]:
    """The lines above the title, or between it and the abstract, in any order in the file."""
    if not title or lines[title[0]].page != page:
        return
    bottom = lines[title[-1]].y1
    above = min(lines[index].y0 for index in title)
    for index, line in enumerate(lines):
        if line.page == page and (line.y1 <= above or (line.y0 >= bottom - 1 and line.y1 <= top)):
            yield index


def _unannounced_front(
    lines: Sequence[Line],
    labels: Sequence[ParagraphKind],
    headings: Sequence[Heading],
    body: Body,
) -> Front:
    """The front of a paper without the heading "Abstract", as in many journals.

    The abstract is in another typeface than the body, on the title's page or on the next one before
    the first heading; or it is all the text of a title page. The title may come after half of the
    page's text in the file.
    """
    page = lines[0].page
    first_heading = headings[0].start if headings else len(lines)
    title = find_title(lines, page)
    on_first = [i for i, line in enumerate(lines) if line.page == page and i not in title]
    next_page = [i for i in range(first_heading) if lines[i].page == page + 1]
    abstract = unannounced_abstract(lines, labels, [*on_first, *next_page], body, any_face=False)
    is_title_page = first_heading < len(lines) and lines[first_heading].page > page
    if not abstract and is_title_page:
        abstract = unannounced_abstract(lines, labels, on_first, body, any_face=True)
    if abstract:
        lowest = max(lines[index].y1 for index in (*title, *abstract))
        named = {i for h in headings for i in range(h.start, h.stop) if lines[i].y0 >= lowest}
        rest = [index for index in on_first if index not in named]
        matter = list(_around(lines, labels, rest, title, abstract, body))
    else:
        matter = list(_below_title(lines, title, on_first, body))
    return Front(title, abstract, tuple(sorted({*matter} - {*title, *abstract})), 0)


def _around(
    lines: Sequence[Line],
    labels: Sequence[ParagraphKind],
    on_first: Sequence[int],
    title: Sequence[int],
    abstract: Sequence[int],
    body: Body,
) -> Iterator[int]:
    page, top = lines[abstract[0]].page, lines[abstract[0]].y0
    yield from _between(lines, title, page, top + 1)
    lowest = max(lines[index].y1 for index in (*title, *abstract))
    for block in _blocks(lines, on_first):
        text = " ".join(lines[index].text for index in block)
        for index in block:
            line = lines[index]
            if same_face(line, body) and not KEYWORDS.match(text):
                continue
            if (
                KEYWORDS.match(text)
                or labels[index] == "footnote"
                or line.y1 <= lowest
                or is_about_authors(text)
            ):
                yield index


def _below_title(
    lines: Sequence[Line], title: Sequence[int], on_first: Sequence[int], body: Body
) -> Iterator[int]:
    """Front matter without an abstract: banners above the title, and authors below it."""
    if not title:
        return
    bottom = lines[title[-1]].y1
    above = min(lines[index].y0 for index in title)
    for index in sorted(on_first, key=lambda index: lines[index].y0):
        line = lines[index]
        if line.y1 <= above:
            yield index
        elif line.y0 >= bottom - 1:
            if is_about_authors(line.text) or not same_face(line, body):
                if is_about_authors(line.text):
                    yield index
                continue
            return
