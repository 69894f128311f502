"""Where sentences end: not after initials, titles and the abbreviations of papers."""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = re.compile(r"[.!?][)\]\"”’]*\s+(?=[\"“‘(\[]?[A-ZÀ-Þ0-9•])|\n\n|[。！？]")
_ABBREVIATED = re.compile(
    r"(?:(?<![A-Za-z])[A-Z]|\b(?:Drs?|Profs?|Mrs?|Ms|St|Sr|Jr|Nos?|Figs?|Eqs?|Secs?|Refs?|Tabs?|"
    r"vs|cf|e\.g|i\.e|al|resp|approx|Inc|Ltd|Co|Univ|Dept|Inst|Lab|Ph\.D|M\.D|Vol|pp|ed|eds))\.$"
)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each, the space after it included; together they are the whole text."""
    start = 0
    for match in _END.finditer(text):
        if not _ABBREVIATED.search(text, max(0, match.start() - 6), match.start() + 1):
            yield start, match.end()
            start = match.end()
    if start < len(text):
        yield start, len(text)
