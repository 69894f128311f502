"""A paper's abstract: where it begins, and where it ends before the text does."""

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
from app.paper.section_names import ABSTRACT

WITHIN_PAGES = 3
"""A cover sheet or two may come first."""
_NOT_ABSTRACT = re.compile(
    r"permission to|preliminary version|contact information|^(\[\d+\]|\d+\.) |"
    r"corresponding author|correspondence",
    re.IGNORECASE,
)
_SYMBOL = re.compile(r"[∗*†‡§¶]")
_PART = re.compile(
    r"(background|introduction|objectives?|aims?|purpose|motivation|design|settings?|participants?|"
    r"context|importance|rationale|hypothesis|goals?|scope|problem|novelty|patients|subjects|"
    r"data( sources?)?|study (design|selection)|measurements?|interventions?|outcomes?|"
    r"(materials?|patients|subjects) and methods?|methods?|methodology|approach|findings?|"
    r"(main |key |principal )?results?|conclusions?|interpretation|implications?|evaluation|"
    r"discussion|significance|limitations?|trial registration|funding|keywords)"
    r"( and (aims?|objectives?|purpose|methods?|results?|findings?|conclusions?|discussion|"
    r"significance))?",
    re.IGNORECASE,
)
_BEGINS_PART = re.compile(rf"({_PART.pattern})(\s*[:.—–]|$)", re.IGNORECASE)
_FOOT_GAP = 6
"""Ems of white space below an abstract, after which nothing is of it."""
_SIZES_APART = 0.3
"""Points by which sizes of one face differ: superscripts and formulas raise a line's."""
_FEWEST = 300
"""Fewest characters of an abstract that no heading announces."""
_ENOUGH = 150
"""Characters after which another look ends an abstract."""
_MOST = 3500
"""Most characters of an abstract whose looks are those of the text after it."""


def find_abstract_heading(lines: Sequence[Line]) -> int | None:
    """The line that says "Abstract", alone or before the abstract's first words."""
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
    """How many characters of a line say "Abstract"."""
    match = ABSTRACT.match(line.text)
    return match.end() if match else 0


def announced_abstract(
    lines: Sequence[Line], labels: Sequence[ParagraphKind], heading: int, end: int, body: Body
) -> tuple[int, ...]:
    """The abstract below its heading: up to ``end``, keywords, or where the text begins."""
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
    """The first long run of lines in one face, which is not the body's unless it may be any."""
    others = [i for i in candidates if any_face or not same_face(lines[i], body)]
    about_authors = {block_of(lines[i]) for i in others if _is_no_abstract(lines[i].text)}
    told = [
        index
        for index in others
        if labels[index] in ("text", "equation") and block_of(lines[index]) not in about_authors
    ]
    for run in _runs(lines, told):
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
    """Consecutive lines in one face; keywords part them."""
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
    # A line with a formula in it is higher, and may come in two pieces.
    return same_face(line, above) or (
        line.font == above.font and (line.symbols > 0 or above.symbols > 0 or line.y0 < above.y1)
    )


def same_face(line: Line, other: Line | Body) -> bool:
    return line.font == other.font and abs(line.size - other.size) < _SIZES_APART


def block_of(line: Line) -> tuple[int, int]:
    return line.page, line.block


def _is_far_below(above: Line, line: Line) -> bool:
    """Whether a line stands at the foot of the page, a note or a banner."""
    return line.page == above.page and line.y0 - above.y1 > _FOOT_GAP * line.size


def _ended(lines: Sequence[Line], found: Sequence[int], body: Body) -> tuple[int, ...]:
    """The lines up to where the text begins: in its own face or measure, or after too many."""
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
    """Whether a line is of the text below an abstract: in its face, or wider on both sides."""
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
    """The headings after an abstract's, without those that divide it.

    The first of those (Background, Methods, Results, Conclusions) begins the abstract; all look
    alike, and after them comes a number, a name that was there before, or another look.
    """
    rest = lines[abstract_heading].text[heading_length(lines[abstract_heading]) :]
    following = lines[abstract_heading + 1].text if abstract_heading + 1 < len(lines) else ""
    if not _BEGINS_PART.match(rest or following) or not headings:
        return list(headings)
    names: set[str] = set()
    # Where a part begins on the abstract's own line, only those within lines can be of it.
    at_once = headings[0].start <= abstract_heading + 1
    look = _look(lines, headings[0]) if at_once else None
    for heading in headings:
        name = heading.text.lower().rstrip("s")
        alike = heading.run_in > 0 if look is None else _look(lines, heading) == look
        if not alike or name in names or not _PART.fullmatch(name):
            break
        names.add(name)
    return list(headings[len(names) :])


def _look(lines: Sequence[Line], heading: Heading) -> tuple[bool, str, float]:
    line = lines[heading.start]
    return heading.run_in > 0, line.font, line.size
