"""Restores the reading order of pages whose lines alternate between columns.

Nearly all PDFs contain their columns one after the other, and their own order is the best. In scans
and in PDFs of some word processors, lines that are beside each other in two columns follow one
another.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from operator import attrgetter

from app.paper.pdf.lines import Line

_WORDED = 20
"""Fewest characters of a line of prose; shorter ones may be cells of a table."""
_FEWEST = 8
"""Fewest lines of prose in a column."""
_MOST_CROSSING = 0.2
"""Largest share of lines that cross the gutter between two columns: titles, wide figures."""
_ALTERNATING = 0.5
"""Least share of lines after which the side changes, on pages whose columns alternate."""
_STEPS = 8


def in_reading_order(lines: Sequence[Line]) -> list[Line]:
    """The lines of all pages; lines of pages with alternating columns are sorted by column."""
    return [
        line
        for _, group in groupby(lines, key=attrgetter("page"))
        for line in _ordered(list(group))
    ]


def _ordered(page: Sequence[Line]) -> Iterable[Line]:
    worded = [line for line in page if len(line.text) >= _WORDED]
    gutter = _gutter(worded)
    if gutter is None:
        return page
    sides = [side for line in worded if (side := _side(line, gutter))]
    changes = sum(one != other for one, other in pairwise(sides))
    return _by_column(page, gutter) if changes >= _ALTERNATING * len(worded) else page


def _gutter(worded: Sequence[Line]) -> float | None:
    """The x position that the fewest lines cross, if these are few and both sides have text."""
    if len(worded) < 2 * _FEWEST:
        return None
    left, right = min(line.x0 for line in worded), max(line.x1 for line in worded)
    middle = [left + (0.35 + 0.3 * step / _STEPS) * (right - left) for step in range(_STEPS + 1)]
    crossing = {x: sum(line.x0 < x < line.x1 for line in worded) for x in middle}
    fewest = min(crossing.values())
    best = [x for x in middle if crossing[x] == fewest]
    x = best[len(best) // 2]
    counts = [sum(_side(line, x) == side for line in worded) for side in (1, 2)]
    return x if fewest <= _MOST_CROSSING * len(worded) and min(counts) >= _FEWEST else None


def _side(line: Line, gutter: float) -> int:
    """1 for a line left of the gutter, 2 for right of it, 0 for across."""
    if line.x1 <= gutter:
        return 1
    return 2 if line.x0 >= gutter else 0


def _by_column(page: Sequence[Line], gutter: float) -> Iterator[Line]:
    """The lines in order: between lines across the gutter, first the left column, then the
    right.
    """
    sides = [_side(line, gutter) for line in page]
    across = sorted(line.y0 for line, side in zip(page, sides, strict=True) if not side)
    order = sorted(
        range(len(page)),
        key=lambda index: (bisect_right(across, page[index].y0), sides[index], page[index].y0),
    )
    for index in order:
        # Lines of one block may be in different columns now.
        yield replace(page[index], block=3 * page[index].block + sides[index])
