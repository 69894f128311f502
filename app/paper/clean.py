"""Characters as they were meant: what PDF producers and TeX fonts leave behind, mended."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

# Type 3 fonts of TeX leave these five ligatures as bare control characters.
_LIGATURES = {0x1B: "ff", 0x1C: "fi", 0x1D: "fl", 0x1E: "ffi", 0x1F: "ffl"}
_SPACES = dict.fromkeys((0x85, 0x200B, 0x2028, 0x2029, 0xFEFF), " ")
_INVISIBLE = dict.fromkeys(
    (
        *range(0x09),
        0x0B,
        *range(0x0E, 0x1B),
        *range(0x7F, 0x85),
        *range(0x86, 0xA0),
        # Direction marks and joiners: they show nothing, and can make a text read otherwise.
        *range(0x200C, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        0xFFFE,
        # Tag characters spell ASCII that nobody sees.
        *range(0xE0000, 0xE0080),
    ),
    "",
)
# Fonts of small capitals and old-style figures have Adobe's private places for them.
_PRIVATE = {
    0xF700 + code: chr(code)
    for code in (
        *map(ord, "!$&?0123456789abcdefghijklmnopqrstuvwxyz¡¢¿"),
        *(code for code in range(0xE0, 0xFF) if code != 0xF7),
    )
}
_MENDED = {**_LIGATURES, **_SPACES, **_INVISIBLE, **_PRIVATE}
# TeX's older fonts set an accent and its letter one after the other.
_ACCENTS = {
    "´": "\u0301",
    "`": "\u0300",
    "¨": "\u0308",
    "ˆ": "\u0302",
    "˜": "\u0303",
    "¯": "\u0304",
    "˘": "\u0306",
    "˙": "\u0307",
    "¸": "\u0327",
    "ˇ": "\u030c",
    "˚": "\u030a",
    "˝": "\u030b",
}
_ACCENTED = re.compile(f"([{''.join(_ACCENTS)}]) ?([A-Za-zı])")
_WORD = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_SOFT_HYPHEN = "\u00ad"
HYPHENS = ("-", "\u2010", _SOFT_HYPHEN)
_BEGINNINGS = frozenset(
    (
        *("any", "can", "every", "further", "her", "here", "him", "how", "more", "never", "not"),
        *("other", "our", "out", "over", "per", "some", "the", "there", "through", "under"),
        *("what", "when", "where", "who", "with", "your"),
    )
)
"""English words that begin longer ones (with-out) oftener than compounds."""
_ENDINGS = frozenset(["able", "ability", "fully", "ing", "less"])
"""And those that end them (success-fully)."""
_LINKS = frozenset(["a", "and", "by", "for", "in", "of", "on", "the", "to"])
"""Words that stand within compounds (state-of-the-art)."""
_FEWEST_COMPOUNDS = 2
"""Compounds of a paper that show a part (non-, -based) to be one that it makes them of."""


def clean(text: str) -> str:
    """One line: ligatures and accents whole, control characters gone, white space folded."""
    if not text.isascii() or not text.isprintable():
        text = _mend(text)
    return " ".join(text.split())


def _without_soft_hyphens(text: str) -> str:
    """All but the one at the line's end, where a word may end; some fonts have no other space."""
    if text[:-1].count(_SOFT_HYPHEN) > max(2, text.count(" ")):
        return text[:-1].replace(_SOFT_HYPHEN, " ") + text[-1]
    return (
        text
        if text.find(_SOFT_HYPHEN) in (-1, len(text) - 1)
        else (text[:-1].replace(_SOFT_HYPHEN, "") + text[-1])
    )


def _mend(text: str) -> str:
    text = text.translate(_MENDED)
    text = "".join(
        unicodedata.normalize("NFKC", char)
        if "\ufb00" <= char <= "\ufb06" or "\U0001d400" <= char <= "\U0001d7ff"
        else char
        for char in text
    )
    # What stands between an accent and its letter goes first, or cleaning once would not be enough.
    text = " ".join(_without_soft_hyphens(text.rstrip()).split())
    text = _ACCENTED.sub(_composed, text)
    # A lone surrogate can be written neither to JSON nor to a database.
    return text.encode("utf-8", "replace").decode("utf-8")


def _composed(match: re.Match[str]) -> str:
    letter = match[2].replace("ı", "i")
    whole = unicodedata.normalize("NFC", letter + _ACCENTS[match[1]])
    return whole if len(whole) == 1 else match[0]


class Vocabulary:
    """The words of one paper, by which its line-end hyphens are judged."""

    def __init__(self, lines: Iterable[str]) -> None:
        """``lines`` in reading order: on both sides of a hyphen between two stand half words."""
        self._words: set[str] = set()
        self._seconds: defaultdict[str, set[str]] = defaultdict(set)
        self._firsts: defaultdict[str, set[str]] = defaultdict(set)
        is_rest = False
        for line in lines:
            whole = line.partition(" ")[2] if is_rest else line
            is_rest = line.endswith(HYPHENS)
            if is_rest:
                whole = whole.rpartition(" ")[0]
            for word in _WORD.findall(whole.lower()):
                self._add(word)

    def _add(self, word: str) -> None:
        self._words.add(word)
        if "-" in word:
            for first, second in pairwise(word.split("-")):
                self._words.add(f"{first}-{second}")
                self._seconds[first].add(second)
                self._firsts[second].add(first)

    def seam(self, left: str, right: str) -> tuple[int, str]:
        """How two consecutive lines become running text: characters to drop from the end of
        ``left``, and what to put between.

        A word divided between them is made whole. The hyphen stays where the paper writes the word
        so elsewhere, or never writes it and makes compounds of such halves; before digits and
        capitals it always does.
        """
        if not left.endswith(HYPHENS):
            return 0, " "
        first, second = _last_word(left[:-1]), _first_word(right)
        if not first or not second:
            return 0, " "
        if left.endswith(_SOFT_HYPHEN):
            return 1, ""
        capital = second[0].isupper() and not (first + second).isupper()
        if capital or self._is_compound(first.lower(), second.lower()):
            return 1, "-"
        return 1, ""

    def _is_compound(self, first: str, second: str) -> bool:
        words, part = self._words, first.rpartition("-")[2]
        if first + second in words:
            return False
        if f"{part}-{second}" in words:
            return True
        knows_both = part in words and second in words
        if second in _LINKS or (part in _LINKS and part != first):
            return knows_both
        if len(part) < 3 or part in _BEGINNINGS or second in _ENDINGS:
            return False
        return (
            (knows_both and len(second) > 2)
            or (second in words and len(self._seconds[part]) >= _FEWEST_COMPOUNDS)
            or (part in words and len(self._firsts[second]) >= _FEWEST_COMPOUNDS)
        )


def _last_word(text: str) -> str:
    return re.split(r"[^\w\-’']", text[-60:])[-1] if text else ""


def _first_word(text: str) -> str:
    match = re.match(r"[\w’']+", text[:60])
    return match[0] if match else ""


def join_lines(lines: Sequence[str], vocabulary: Vocabulary) -> tuple[str, list[int]]:
    """Lines of one paragraph as running text, and where in it each line begins."""
    pieces: list[str] = []
    starts: list[int] = []
    length = 0
    for index, line in enumerate(lines):
        starts.append(length)
        following = lines[index + 1] if index + 1 < len(lines) else None
        drop, joint = (0, "") if following is None else vocabulary.seam(line, following)
        piece = line[: len(line) - drop] + joint
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces), starts
