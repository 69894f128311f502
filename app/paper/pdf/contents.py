"""Finds tables of contents, whose lines must not be taken for headings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.paper.pdf.lines import Line

_HEADING = re.compile(r"(table of )?contents|list of (figures|tables)", re.IGNORECASE)
_LEADERS = re.compile(r"(\. ?){4,}|…{2,}")
_ENTRY = re.compile(r"\S.*?\D ?(\d{1,3})")
_FEWEST = 3
_WRAPPED = 2
"""Most lines of an entry before the line that ends with the page number."""


def contents_lines(lines: Sequence[Line]) -> set[int]:
    """Indices of the lines of tables of contents, including their headings."""
    found: set[int] = set()
    for index, line in enumerate(lines):
        if index not in found and _HEADING.fullmatch(line.text):
            entries = list(_entries(lines, index + 1))
            if len(entries) >= _FEWEST:
                found.update(range(index, entries[-1] + 1))
    led = [index for index, line in enumerate(lines) if _LEADERS.search(line.text)]
    return found.union(led) if len(led) >= _FEWEST else found


def _entries(lines: Sequence[Line], start: int) -> Iterator[int]:
    """The last line of each entry, as long as the page numbers don't decrease."""
    page, since = 0, 0
    for index in range(start, len(lines)):
        entry = _ENTRY.fullmatch(lines[index].text)
        if entry and (lines[index].cells > 1 or _LEADERS.search(lines[index].text)):
            if int(entry[1]) < page:
                return
            page, since = int(entry[1]), 0
            yield index
        else:
            since += 1
            if since > _WRAPPED:
                return
