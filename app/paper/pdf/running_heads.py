"""Running heads and page numbers that few pages share, or that stand further in than a margin.

Books and journals put authors on one page and the title on the other, and a short paper has each of
them once: what they say and that they stand apart tells them.
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
"""Least white space between a running head and the text, as part of the head's height."""
_LARGER = 1.0
"""Points by which a title is larger than text: behind a cover sheet it comes again as itself."""
_FEWEST_LETTERS = 8
"""Letters of a title's beginning that tell it."""
_ISSUE = re.compile(
    r"\bvol(ume|\.)? ?\d|\bno\. ?\d|\bet al\.?$|\b(19|20)\d\d[;,:] ?\d|\bpp?\. ?\d|"
    r"\bJ(ournal|\.) of\b|\(\d{4}\) \d+",
    re.IGNORECASE,
)
_OUTER_NUMBER = re.compile(r"(\d{1,4})\s+\D.*|.*\D\s+(\d{1,4})|(\d{1,4})")


def counted_pages(lines: Sequence[Line]) -> set[int]:
    """Numbers that stand first or last on their pages and count with these."""
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
    """The highest line of each page and the lowest."""
    top: dict[int, int] = {}
    foot: dict[int, int] = {}
    for index, line in enumerate(lines):
        if line.page not in top or line.y0 < lines[top[line.page]].y0:
            top[line.page] = index
        if line.page not in foot or line.y1 > lines[foot[line.page]].y1:
            foot[line.page] = index
    return [*top.values(), *foot.values()]


def rare_heads(lines: Sequence[Line], heights: Mapping[int, float]) -> set[int]:
    """Heads that say the title, names, an issue or the page's number, apart from the text."""
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
    """What stands alone on the first baseline of each page but the first, apart from the text."""
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
    """The size that most of the text is in."""
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size, 1)] += len(line.text)
    return max(sizes, key=lambda size: sizes[size], default=0.0)


def _is_head(text: str, title: str, *, repeats: bool) -> bool:
    """``title``: its letters; ``repeats``: whether another page has the same head."""
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
