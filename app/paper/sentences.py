"""Finds the ends of sentences.

Two rules, for two kinds of text. ``sentences`` splits a paper's running text, for blinding: it
knows initials, titles and institutions. ``sentence_ends`` is for Markdown that may be cut off
anywhere, a review or a truncated paragraph: it knows list marks, and treats an abbreviation or a
digit with a dot at the end of the text as cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = re.compile(r"[.!?][)\]\"”’]*\s+(?=[\"“‘(\[]?[A-ZÀ-Þ0-9•])|\n\n|[。！？]")
_ABBREVIATED = re.compile(
    r"(?:(?<![A-Za-z])[A-Z]|\b(?:Drs?|Profs?|Mrs?|Ms|St|Sr|Jr|Nos?|Figs?|Eqs?|Secs?|Refs?|Tabs?|"
    r"vs|cf|e\.g|i\.e|al|resp|approx|Inc|Ltd|Co|Univ|Dept|Inst|Lab|Ph\.D|M\.D|Vol|pp|ed|eds))\.$"
)
_MARKDOWN_END = re.compile(
    r"(?<=[.!?])[)\]\"'”’*_`]{0,3}"
    # Followed by the beginning of a sentence, by a list item, or by the end of the text.
    r"(?=\s+(?:[\"'“‘(\[*_`$\\]{0,3}[^\W_a-z]|[-*+•]\s)|\s*\Z)"
    r"|[。！？][」』”’)]?"
)
_MARKDOWN_ABBREVIATED = re.compile(
    r"(?:\b(?:al|e\.g|i\.e|cf|vs|Fig|Figs|Eq|Eqs|Sec|Tab|resp|Dr|No)|\b[A-Z])\.$"
)
_LONGEST_ABBREVIATION = 8
_NUMBER = re.compile(r"\d\.$")


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, including the space after it; they cover the whole text."""
    start = 0
    for match in _END.finditer(text):
        if not _ABBREVIATED.search(text, max(0, match.start() - 6), match.start() + 1):
            yield start, match.end()
            start = match.end()
    if start < len(text):
        yield start, len(text)


def sentence_ends(text: str, start: int = 0, end: int | None = None) -> Iterator[int]:
    """The offsets right after each sentence between ``start`` and ``end``, in order.

    The text may be cut off anywhere: ``Eq.``, or a digit and a dot, at its end is not a sentence's.
    """
    end = len(text) if end is None else end
    stop = start + len(text[start:end].rstrip())
    for match in _MARKDOWN_END.finditer(text, start, end):
        before = text[max(start, match.start() - _LONGEST_ABBREVIATION) : match.start()]
        is_number = bool(_NUMBER.search(before)) and match.end() >= stop
        if not (is_number or _MARKDOWN_ABBREVIATED.search(before)):
            yield match.end()
