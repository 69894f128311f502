"""Replaces characters of paragraphs, and adjusts the anchors."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from app.paper.model import Paragraph

Cut = tuple[int, int, str]
"""Start and end of the characters to replace, and the replacement."""


def edited(paragraph: Paragraph, cuts: Sequence[Cut]) -> Paragraph:
    """The paragraph after the replacements; anchors stay with their text."""
    pieces: list[str] = []
    ends: list[int] = []
    starts: list[int] = []
    shifts = [0]
    at = 0
    for first, end, instead in sorted(cuts, key=lambda cut: (cut[0], -cut[1])):
        start = max(first, at)
        if end <= start:
            continue
        pieces += [paragraph.text[at:start], instead]
        starts.append(start)
        ends.append(end)
        shifts.append(shifts[-1] + len(instead) - (end - start))
        at = end
    if not pieces:
        return paragraph

    def moved(offset: int) -> int:
        # Offsets within a cut move to its end.
        cut = bisect_left(starts, offset)
        return max(offset, ends[cut - 1]) + shifts[cut] if cut else offset

    anchors = (
        replace(anchor, start=moved(anchor.start), end=moved(anchor.end))
        for anchor in paragraph.anchors
    )
    return replace(
        paragraph,
        text="".join([*pieces, paragraph.text[at:]]),
        anchors=tuple(anchor for anchor in anchors if anchor.start < anchor.end),
    )
