"""Finds running heads that repeat on few pages, and page numbers outside of the margins.

Many journals print the authors on even pages and the title on odd ones, so a short paper has each
of them once. They are recognised by their text and by the space below them.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from app.paper.pdf.lines import Line
from app.paper.screening.identity import BANNER, RECORD, is_names

_LONGEST = 140
_SAME_BASELINE = 3.0
_APART = 0.8
"""Least white space between a running head and the text, as a share of the head's height."""
_LARGER = 1.0
"""Points above the text's size from which a line is the title itself, repeated after a cover sheet.
"""
_FEWEST_LETTERS = 8
"""Fewest letters of a (shortened) title in a running head."""
_ISSUE = re.compile(
    r"\bvol(ume|\.)? ?\d|\bno\. ?\d|\bet al\.?$|\b(19|20)\d\d[;,:] ?\d|\bpp?\. ?\d|"
    r"\bJ(ournal|\.) of\b|\(\d{4}\) \d+",
    re.IGNORECASE,
)
_OUTER_NUMBER = re.compile(r"(\d{1,4})\s+\D.*|.*\D\s+(\d{1,4})|(\d{1,4})")


def counted_pages(lines: Sequence[Line]) -> set[int]:
    """Lines that are first or last on their pages and have numbers that increase with the pages."""
    outermost = _outermost(lines)
    offsets: Counter[int] = Counter()
    numbers: list[tuple[int, int]] = []
    for index in outermost:
        if lines[index].text.isdecimal() and len(lines[index].text) <= 4:
            offset = int(lines[index].text) - lines[index].page
            numbers.append((index, offset))
            offsets[offset] += 1
    return {index for index, offset in numbers if offsets[offset] > 1}


def _outermost(lines: Sequence[Line]) -> list[int]:
    """The top and the bottom line of each page."""
    top: dict[int, int] = {}
    foot: dict[int, int] = {}
    for index, line in enumerate(lines):
        if line.page not in top or line.y0 < lines[top[line.page]].y0:
            top[line.page] = index
        if line.page not in foot or line.y1 > lines[foot[line.page]].y1:
            foot[line.page] = index
    return [*top.values(), *foot.values()]


def rare_heads(lines: Sequence[Line], heights: Mapping[int, float]) -> set[int]:
    """Running heads with the title, names, an issue or the page's number."""
    title = _title_letters(lines)
    size = _text_size(lines)
    heads = list(_heads(lines, heights))
    times = Counter(_head_text(lines, head) for head in heads)
    offsets = Counter(
        number - lines[head[0]].page for head in heads for number in _numbers(lines, head)
    )
    found: set[int] = set()
    for head in heads:
        text = _head_text(lines, head)
        page = lines[head[0]].page
        counts = any(offsets[number - page] > 1 for number in _numbers(lines, head))
        larger = max(lines[index].size for index in head) > size + _LARGER
        if counts or _is_head(text, "" if larger else title, repeats=times[text] > 1):
            found.update(head)
    return found


def _heads(lines: Sequence[Line], heights: Mapping[int, float]) -> Iterator[list[int]]:
    """The lines on the top baseline of each page except the first, if space separates them from the
    text.
    """
    pages: defaultdict[int, list[int]] = defaultdict(list)
    for index, line in enumerate(lines):
        if line.upright:
            pages[line.page].append(index)
    first = min(pages, default=0)
    for page, own in pages.items():
        own.sort(key=lambda index: lines[index].y0)
        top = lines[own[0]]
        head = [index for index in own if abs(lines[index].y1 - top.y1) < _SAME_BASELINE]
        rest = [index for index in own if index not in head]
        if page == first or not rest or top.y0 > 0.2 * heights[page]:
            continue
        gap = min(lines[index].y0 for index in rest) - max(lines[index].y1 for index in head)
        length = sum(len(lines[index].text) for index in head)
        if gap >= _APART * (top.y1 - top.y0) and length <= _LONGEST:
            yield head


def _numbers(lines: Sequence[Line], head: Sequence[int]) -> Iterator[int]:
    for index in head:
        match = _OUTER_NUMBER.fullmatch(lines[index].text)
        if match:
            yield int(match[1] or match[2] or match[3])


def _head_text(lines: Sequence[Line], head: Sequence[int]) -> str:
    return " ".join(lines[index].text for index in sorted(head, key=lambda i: lines[i].x0))


def _text_size(lines: Sequence[Line]) -> float:
    """The font size of most of the text."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size, 1)] += len(line.text)
    return max(sizes, key=lambda size: sizes[size], default=0.0)


def _is_head(text: str, title: str, *, repeats: bool) -> bool:
    """Whether the text is a running head. ``title`` has the letters of the paper's title;
    ``repeats`` tells whether another page has the same head.
    """
    bare = re.sub(r"^\d{1,4}\s+|\s+\d{1,4}$", "", text)
    letters = _letters(bare.rstrip(". …"))
    is_title = len(letters) >= _FEWEST_LETTERS and letters in title
    return bool(
        is_title
        or BANNER.match(bare)
        or RECORD.match(bare)
        or _ISSUE.search(text)
        or (is_names(bare) and (repeats or bare != text))
    )


def _title_letters(lines: Sequence[Line]) -> str:
    """The letters of the first page's largest lines."""
    first = [line for line in lines if line.page == lines[0].page]
    largest = max((line.size for line in first if len(line.text) > 2), default=0.0)
    return _letters("".join(line.text for line in first if line.size > 0.7 * largest))


def _letters(text: str) -> str:
    return "".join(filter(str.isalpha, text)).lower()
