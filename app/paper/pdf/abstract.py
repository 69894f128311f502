"""Finds a paper's abstract: where it begins, and where it ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from app.paper.model import ParagraphKind
from app.paper.pdf.headings import Heading
from app.paper.pdf.labels import Body
from app.paper.pdf.lines import Line
from app.paper.screening.identity import (
    ADDRESS,
    BANNER,
    EMAIL,
    FUNDING,
    KEYWORDS,
    RECORD,
    RIGHTS,
    is_names,
)
from app.paper.section_names import ABSTRACT, ABSTRACT_PART

WITHIN_PAGES = 3
"""Pages searched for an abstract, as there may be cover sheets before it."""
_NOT_ABSTRACT = re.compile(
    r"permission to|preliminary version|contact information|^(\[\d+\]|\d+\.) |"
    r"corresponding author|correspondence",
    re.IGNORECASE,
)
_SYMBOL = re.compile(r"[∗*†‡§¶]")
_BEGINS_PART = re.compile(rf"({ABSTRACT_PART.pattern})(\s*[:.—–]|$)", re.IGNORECASE)
_FOOT_GAP = 6
"""Ems of white space after which a line does not belong to the abstract any more."""
_SIZES_APART = 0.3
"""Points by which sizes in one typeface may differ, as superscripts and formulas enlarge a line."""
_FEWEST = 300
"""Fewest characters of an abstract without a heading."""
_ENOUGH = 150
"""Characters after which a change of typeface ends an abstract."""
_MOST = 3500
"""Most characters of an abstract in the same typeface as the text after it."""


def find_abstract_heading(lines: Sequence[Line]) -> int | None:
    """The index of the line with the word "Abstract", alone or before the first words."""
    for index, line in enumerate(lines):
        if line.page > WITHIN_PAGES:
            return None
        match = ABSTRACT.match(line.text)
        if match and (
            match.end() == len(line.text)
            or match["stop"]
            or match.end() - 1 <= line.lead < len(line.text)
        ):
            return index
    return None


def heading_length(line: Line) -> int:
    """The length of the heading "Abstract" at the beginning of a line."""
    match = ABSTRACT.match(line.text)
    return match.end() if match else 0


def announced_abstract(
    lines: Sequence[Line], labels: Sequence[ParagraphKind], heading: int, end: int, body: Body
) -> tuple[int, ...]:
    """The lines of an abstract with a heading: up to ``end``, keywords, or the body's beginning."""
    alone = heading_length(lines[heading]) == len(lines[heading].text)
    found: list[int] = []
    note: tuple[int, int] | None = None
    for index in range(heading + alone, end):
        line = lines[index]
        if KEYWORDS.match(line.text) or (found and RECORD.match(line.text)):
            break
        if found and block_of(line) != block_of(lines[found[-1]]) and _SYMBOL.match(line.text):
            note = block_of(line)
        if block_of(line) == note or (found and _is_far_below(lines[found[-1]], line)):
            continue
        if labels[index] in ("text", "equation") or (not found and labels[index] == "figure"):
            found.append(index)
    return _ended(lines, found, body)


def unannounced_abstract(
    lines: Sequence[Line],
    labels: Sequence[ParagraphKind],
    candidates: Iterable[int],
    body: Body,
    *,
    any_face: bool,
) -> tuple[int, ...]:
    """The lines of an abstract without a heading: the first long run of lines in one typeface,
    other than the body's unless ``any_face``.
    """
    others = [i for i in candidates if any_face or not same_face(lines[i], body)]
    about_authors = {block_of(lines[i]) for i in others if _is_no_abstract(lines[i].text)}
    prose = [
        index
        for index in others
        if labels[index] in ("text", "equation") and block_of(lines[index]) not in about_authors
    ]
    for run in _runs(lines, prose):
        if sum(len(lines[at].text) for at in run) >= _FEWEST:
            return _ended(lines, run, body)
    return ()


def _is_no_abstract(text: str) -> bool:
    return bool(
        _NOT_ABSTRACT.search(text)
        or BANNER.match(text)
        or EMAIL.search(text)
        or RIGHTS.search(text)
        or RECORD.match(text)
        or FUNDING.search(text)
        or (ADDRESS.search(text) and text[-1:] not in ".-")
        or is_names(text)
    )


def _runs(lines: Sequence[Line], indices: Sequence[int]) -> Iterator[list[int]]:
    """Runs of consecutive lines in one typeface; keywords end a run."""
    run: list[int] = []
    for index in indices:
        line = lines[index]
        ends = KEYWORDS.match(line.text)
        if run and (ends or index != run[-1] + 1 or not _goes_on(lines[run[-1]], line)):
            yield run
            run = []
        if not ends:
            run.append(index)
    if run:
        yield run


def _goes_on(above: Line, line: Line) -> bool:
    # A line with a formula is taller, and may be split into two pieces.
    return same_face(line, above) or (
        line.font == above.font and (line.symbols > 0 or above.symbols > 0 or line.y0 < above.y1)
    )


def same_face(line: Line, other: Line | Body) -> bool:
    return line.font == other.font and abs(line.size - other.size) < _SIZES_APART


def block_of(line: Line) -> tuple[int, int]:
    return line.page, line.block


def _is_far_below(above: Line, line: Line) -> bool:
    """Whether a line is far below another, as notes and banners at the foot of a page are."""
    return line.page == above.page and line.y0 - above.y1 > _FOOT_GAP * line.size


def _ended(lines: Sequence[Line], found: Sequence[int], body: Body) -> tuple[int, ...]:
    """The lines before the body, which begins with another typeface or width, or after too many
    characters.
    """
    length, last_break = 0, 0
    for at, index in enumerate(found):
        line = lines[index]
        if at and _begins_paragraph(lines[found[at - 1]], line):
            own = [lines[i] for i in found[:at]]
            if length >= _ENOUGH and _begins_text(own, line, body):
                return tuple(found[:at])
            last_break = at if last_break == 0 or length <= _MOST else last_break
        length += len(line.text)
        if length > _MOST and last_break:
            return tuple(found[:last_break])
    return tuple(found)


def _begins_paragraph(above: Line, line: Line) -> bool:
    return block_of(above) != block_of(line) or line.y0 - above.y1 > 0.4 * line.size


def _begins_text(abstract: Sequence[Line], line: Line, body: Body) -> bool:
    """Whether a line belongs to the body: in the body's typeface, or wider on both sides."""
    first = abstract[0] if len(abstract) == 1 else abstract[1]
    if same_face(line, body) and not same_face(first, body):
        return True
    same_page = [other for other in abstract if other.page == line.page] or abstract
    left, right = min(of.x0 for of in same_page), max(of.x1 for of in same_page)
    em = 0.8 * line.size
    return line.font == first.font and line.x0 < left - em and line.x1 > right + em


def without_parts(
    headings: Sequence[Heading], lines: Sequence[Line], abstract_heading: int
) -> list[Heading]:
    """The headings after the abstract's, without those within a structured abstract.

    The first of those (Background, Methods, Results, Conclusions) is at the abstract's beginning.
    They all look alike. They end with a numbered heading, a repeated name, or another look.
    """
    rest = lines[abstract_heading].text[heading_length(lines[abstract_heading]) :]
    following = lines[abstract_heading + 1].text if abstract_heading + 1 < len(lines) else ""
    if not _BEGINS_PART.match(rest or following) or not headings:
        return list(headings)
    names: set[str] = set()
    # If the first part begins on the heading's line, all parts are headings within lines.
    at_once = headings[0].start <= abstract_heading + 1
    look = _look(lines, headings[0]) if at_once else None
    for heading in headings:
        name = heading.text.lower().rstrip("s")
        alike = heading.run_in > 0 if look is None else _look(lines, heading) == look
        if not alike or name in names or not ABSTRACT_PART.fullmatch(name):
            break
        names.add(name)
    return list(headings[len(names) :])


def _look(lines: Sequence[Line], heading: Heading) -> tuple[bool, str, float]:
    line = lines[heading.start]
    return heading.run_in > 0, line.font, line.size
