"""Removes page furniture: running heads, page and line numbers, stamps, tables of contents."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from app.paper.pdf.lines import Line
from app.paper.pdf.running_heads import counted_pages, rare_heads
from app.paper.screening.identity import BANNER

_REPEATS_ON = 0.6
"""Least share of all pages, of the odd ones or of the even ones, that repeat a running head."""
_LONGEST_RUNNING_HEAD = 160
_MARGIN = 0.11
"""Height of the top and bottom margins with running heads and page numbers, as a share of a page's
height."""
_SAME_HEIGHT = 6.0
"""Points by which the height of a running head may differ between pages."""
_SAME_BASELINE = 2.0
"""Points between the lower edges of two pieces of one line."""
_SHORTEST_NUMBER_RUN = 8
_SAME_EDGE = 6.0
"""Points by which the edges of a column of line numbers may differ."""
_PAGE_NUMBER = re.compile(
    r"(page )?[-–—|]?\s*(\d{1,5}|[ivxlc]{1,6}|S\d{1,3})\s*[-–—|]?(( of |\s*/\s*)\d{1,5})?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{1,4}")
_SMALL = 0.8
"""Largest size of sparse line numbers, as a share of the text's size."""
_SIDEWAYS_PAGE = 500
"""Characters of rotated text on a page from which it is a table or text, not a stamp or axis label.
"""

Heights = Mapping[int, float]
"""Height of each page in points, by its number from 1."""


def drop_furniture(lines: Sequence[Line], heights: Heights) -> tuple[list[Line], Counter[str]]:
    """The lines without furniture, and the number of lines dropped of each kind."""
    dropped: Counter[str] = Counter()
    left: Sequence[Line] = lines
    for kind, find in (
        ("rotated", _rotated),
        ("line_number", _line_numbers),
        ("line_number", _sparse_line_numbers),
        ("running_head", _running_heads),
        ("running_head", rare_heads),
        ("page_number", _page_numbers),
        ("margin_note", _margin_notes),
    ):
        gone = find(left, heights)
        if gone:
            banners = sum(BANNER.match(left[index].text) is not None for index in gone)
            dropped += Counter({kind: len(gone) - banners, "venue_banner": banners})
            left = [line for index, line in enumerate(left) if index not in gone]
    return list(left), dropped


def _rotated(lines: Sequence[Line], _: Heights) -> set[int]:
    """Stamps and axis labels: rotated lines, except on pages with much rotated text."""
    characters: Counter[int] = Counter()
    for line in lines:
        if not line.upright:
            characters[line.page] += len(line.text)
    return {
        index
        for index, line in enumerate(lines)
        if not line.upright and characters[line.page] < _SIDEWAYS_PAGE
    }


def _line_numbers(lines: Sequence[Line], _: Heights) -> set[int]:
    """Columns of consecutive numbers."""
    by_edge: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for index, line in enumerate(lines):
        if _NUMBER.fullmatch(line.text):
            # Numbers are set flush right as often as flush left.
            for edge in {
                (line.page, round(line.x0 / _SAME_EDGE)),
                (line.page, -round(line.x1 / _SAME_EDGE)),
            }:
                by_edge[edge].append(index)
    found: set[int] = set()
    for column in by_edge.values():
        column.sort(key=lambda index: lines[index].y0)
        for run in _runs(column, lines):
            found.update(run)
    return found


def _runs(column: Sequence[int], lines: Sequence[Line]) -> Iterable[list[int]]:
    run: list[int] = []
    for index in column:
        if run and int(lines[index].text) != int(lines[run[-1]].text) + 1:
            if len(run) >= _SHORTEST_NUMBER_RUN:
                yield run
            run = []
        run.append(index)
    if len(run) >= _SHORTEST_NUMBER_RUN:
        yield run


def _sparse_line_numbers(lines: Sequence[Line], _: Heights) -> set[int]:
    """Small numbers 5, 10, 15, ... that continue across pages, as in some journals."""
    largest = _SMALL * median(line.size for line in lines) if lines else 0.0
    by_face: defaultdict[tuple[str, float], list[int]] = defaultdict(list)
    for index, line in enumerate(lines):
        if line.size <= largest and _NUMBER.fullmatch(line.text):
            by_face[line.font, line.size].append(index)
    found: set[int] = set()
    for face in by_face.values():
        values = sorted(int(lines[index].text) for index in face)
        step = values[0]
        expected = range(step, step * (len(values) + 1), step) if step else ()
        if step > 1 and len(values) >= _SHORTEST_NUMBER_RUN and values == list(expected):
            found.update(face)
    return found


def _running_heads(lines: Sequence[Line], heights: Heights) -> set[int]:
    """Lines in the margins that repeat at the same height on most (odd or even) pages."""
    alike: defaultdict[str, list[int]] = defaultdict(list)
    for index, line in enumerate(lines):
        if len(line.text) <= _LONGEST_RUNNING_HEAD and _in_margin(line, heights):
            alike[_undigit(line.text)].append(index)
    found: set[int] = set()
    for group in alike.values():
        group.sort(key=lambda index: lines[index].y0)
        edges = [lines[index].y0 for index in group]
        for index in group:
            start = bisect_left(edges, lines[index].y0 - _SAME_HEIGHT)
            stop = bisect_right(edges, lines[index].y0 + _SAME_HEIGHT)
            if stop - start > 2 and _repeats(
                {lines[other].page for other in group[start:stop]}, len(heights)
            ):
                found.add(index)
    return found


def _repeats(on: set[int], pages: int) -> bool:
    odd = sum(page % 2 for page in on)
    sides = ((len(on), pages), (odd, pages / 2), (len(on) - odd, pages / 2))
    return any(times >= max(3, _REPEATS_ON * of) for times, of in sides)


def _page_numbers(lines: Sequence[Line], heights: Heights) -> set[int]:
    """Numbers in a margin without other text on their baseline, as section numbers have."""
    baselines: defaultdict[int, list[float]] = defaultdict(list)
    for line in lines:
        baselines[line.page].append(line.y1)
    counted = counted_pages(lines)
    return {
        index
        for index, line in enumerate(lines)
        if _PAGE_NUMBER.fullmatch(line.text)
        and (_in_margin(line, heights) or index in counted)
        and sum(abs(y - line.y1) < _SAME_BASELINE for y in baselines[line.page]) == 1
    }


def _margin_notes(lines: Sequence[Line], _: Heights) -> set[int]:
    """Lines that are entirely to the left or the right of the text's columns."""
    full = [line for line in lines if len(line.text) >= 40]
    if len(full) < 20:
        return set()
    # A few long lines may be wider: a wide table, a page of another size.
    left = sorted(line.x0 for line in full)[len(full) // 50]
    right = sorted(line.x1 for line in full)[-1 - len(full) // 50]
    return {index for index, line in enumerate(lines) if line.x1 < left or line.x0 > right}


def _in_margin(line: Line, heights: Heights) -> bool:
    height = heights[line.page]
    return line.y0 < _MARGIN * height or line.y1 > (1 - _MARGIN) * height


def _undigit(text: str) -> str:
    return re.sub(r"\d+", "0", text)


_CONTENTS_HEADING = re.compile(r"(table of )?contents|list of (figures|tables)", re.IGNORECASE)
_LEADERS = re.compile(r"(\. ?){4,}|…{2,}")
_CONTENTS_ENTRY = re.compile(r"\S.*?\D ?(\d{1,3})")
_FEWEST_ENTRIES = 3
_LONGEST_ENTRY = 2
"""Most lines of an entry before the line that ends with the page number."""


def contents_lines(lines: Sequence[Line]) -> set[int]:
    """Indices of the lines of tables of contents, including their headings."""
    found: set[int] = set()
    for index, line in enumerate(lines):
        if index not in found and _CONTENTS_HEADING.fullmatch(line.text):
            entries = list(_entries(lines, index + 1))
            if len(entries) >= _FEWEST_ENTRIES:
                found.update(range(index, entries[-1] + 1))
    led = [index for index, line in enumerate(lines) if _LEADERS.search(line.text)]
    return found.union(led) if len(led) >= _FEWEST_ENTRIES else found


def _entries(lines: Sequence[Line], start: int) -> Iterator[int]:
    """The last line of each entry, as long as the page numbers don't decrease."""
    page, since = 0, 0
    for index in range(start, len(lines)):
        entry = _CONTENTS_ENTRY.fullmatch(lines[index].text)
        if entry and (lines[index].cells > 1 or _LEADERS.search(lines[index].text)):
            if int(entry[1]) < page:
                return
            page, since = int(entry[1]), 0
            yield index
        else:
            since += 1
            if since > _LONGEST_ENTRY:
                return
