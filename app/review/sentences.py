"""Where sentences end."""

from __future__ import annotations

import re
from collections.abc import Iterator

_END = re.compile(
    r"(?<=[.!?])[)\]\"'”’*_`]{0,3}"
    # Then a sentence begins, or a point of a list, or nothing comes any more.
    r"(?=\s+(?:[\"'“‘(\[*_`$\\]{0,3}[^\W_a-z]|[-*+•]\s)|\s*\Z)"
    r"|[。！？][」』”’)]?"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:al|e\.g|i\.e|cf|vs|Fig|Figs|Eq|Eqs|Sec|Tab|resp|Dr|No)|\b[A-Z])\.$"
)
_LONGEST_ABBREVIATION = 8
_NUMBER = re.compile(r"\d\.$")


def sentence_ends(text: str, start: int = 0, end: int | None = None) -> Iterator[int]:
    """The offsets right behind each sentence of a part of a text, in order.

    The text may be cut off anywhere: ``Eq.``, or a digit and a dot, is no end there.
    """
    end = len(text) if end is None else end
    stop = start + len(text[start:end].rstrip())
    for match in _END.finditer(text, start, end):
        before = text[max(start, match.start() - _LONGEST_ABBREVIATION) : match.start()]
        is_number = bool(_NUMBER.search(before)) and match.end() >= stop
        if not (is_number or _ABBREVIATION.search(before)):
            yield match.end()
