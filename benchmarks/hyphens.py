"""Whether words that are divided at line ends are written in a text as elsewhere in the paper.

For a hyphen at the end of a line, with a lower-case letter on the next line, the paper itself may
have the correct form within its lines: either one word ("performance") or a compound with a hyphen
("well-known"). Words with both forms or neither are skipped. A text is correct if it joins the
first kind and keeps the hyphen of the second, and wrong if it does the opposite or has white space
between the halves. The places are found by the letters around them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pymupdf

_HYPHENS = "-\u2010\u00ad"
_ENDS = re.compile(rf"([A-Za-z]+)[{_HYPHENS}]$")
_BEGINS = re.compile(r"[a-z]+")
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
_CONTEXT = 24
"""Letters before and after the two halves by which their place is found."""


@dataclass(frozen=True, slots=True)
class DividedWord:
    """A word that is divided at the end of a line, with the letters around it."""

    before: str
    after: str
    is_compound: bool


def divided_words(file: Path) -> list[DividedWord]:
    """The divided words of a paper whose correct form is known."""
    with pymupdf.open(file) as document:
        blocks = [
            [line.strip() for line in block[4].splitlines() if line.strip()]
            for page in document
            for block in page.get_text("blocks")
        ]
    known = _words_within(blocks)
    return [word for lines in blocks for word in _divided(lines, known)]


def _words_within(blocks: Sequence[Sequence[str]]) -> set[str]:
    """Words and hyphenated compounds that are neither first nor last on their lines."""
    known: set[str] = set()
    for line in (line for block in blocks for line in block):
        inner = " ".join(line.lower().split()[1:-1]).replace("\u2010", "-")
        for word in _WORD.findall(inner):
            known.add(word)
            known.update("-".join(pair) for pair in pairwise(word.split("-")))
    return known


def _divided(lines: Sequence[str], known: set[str]) -> Iterator[DividedWord]:
    for index, (line, below) in enumerate(pairwise(lines)):
        end, begin = _ENDS.search(line), _BEGINS.match(below)
        if not end or not begin:
            continue
        first, second = end[1].lower(), begin[0]
        as_one, as_compound = first + second in known, f"{first}-{second}" in known
        if as_one != as_compound:
            above = _letters(" ".join(lines[max(0, index - 1) : index + 1]))
            following = _letters(" ".join(lines[index + 1 : index + 3]))
            yield DividedWord(above[-_CONTEXT:], following[:_CONTEXT], as_compound)


def judged(words: Sequence[DividedWord], text: str) -> tuple[int, int]:
    """The number of words that are correct in the text, and of those that it has exactly once."""
    places = [index for index, char in enumerate(text) if char.isascii() and char.isalpha()]
    letters = "".join(text[index] for index in places).lower()
    right = found = 0
    for word in words:
        at = letters.find(word.before + word.after)
        if at < 0 or letters.find(word.before + word.after, at + 1) >= 0:
            continue
        end = at + len(word.before)
        between = text[places[end - 1] + 1 : places[end]]
        found += 1
        right += between in ("-", "\u2010") if word.is_compound else not between
    return right, found


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())
