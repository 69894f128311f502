"""A regular expression that matches every text in which given words do not occur.

The expressions of a grammar have no lookahead. So the expression is made from the automaton that
searches for the words (Aho and Corasick, 1975), by eliminating its states one after the other.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

# All characters except control characters, split where the length of their UTF-8 encoding changes.
# In xgrammar 0.2.8 a character class across such a border, also a negated class, matches invalid
# bytes too.
_BLOCKS = (
    (ord("\t"), ord("\n")),
    (ord(" "), ord("~")),
    (0x80, 0x7FF),
    (0x800, 0xFFF),
    (0x1000, 0xCFFF),
    (0xD000, 0xD7FF),
    (0xE000, 0xFFFF),
    (0x10000, 0x3FFFF),
    (0x40000, 0xFFFFF),
    (0x100000, 0x10FFFF),
)


def text_without(words: Iterable[str]) -> str:
    """The expression for texts without ``words`` (in any case) and without control characters."""
    sought = {word.lower() for word in words}
    # A state is the longest beginning of a word that the text so far ends with.
    states = sorted({word[:length] for word in sought for length in range(len(word))}, key=len)
    paths: dict[str, dict[str, str]] = {state: _steps(state, states, sought) for state in states}
    ends: dict[str, list[str]] = {state: [] for state in states}
    for gone in reversed(states[1:]):
        onward, ending = paths.pop(gone), _optional(ends.pop(gone))
        again = f"(?:{onward.pop(gone)})*" if gone in onward else ""
        for state, reached in paths.items():
            if gone in reached:
                into = _group(reached.pop(gone)) + again
                ends[state].append(into + ending)
                for to, path in onward.items():
                    longer = into + _group(path)
                    reached[to] = f"{reached[to]}|{longer}" if to in reached else longer
    return f"(?:{paths[''].get('', '')})*{_optional(ends[''])}"


def _steps(state: str, states: Iterable[str], words: set[str]) -> dict[str, str]:
    """For each state that can follow ``state``: a class of the characters that lead to it."""
    letters = {letter for word in words for letter in word}
    leads: dict[str, set[str]] = defaultdict(set)
    for letter in letters:
        text = state + letter
        if not text.endswith(tuple(words)):
            leads[max((s for s in states if text.endswith(s)), key=len)].add(letter)
    steps = {to: _class(_cases(some)) for to, some in leads.items() if to}
    return {**steps, "": "|".join(_others(_cases(letters - leads[""])))}


def _cases(letters: Iterable[str]) -> set[str]:
    return {case for letter in letters for case in (letter, letter.upper()) if len(case) == 1}


def _class(letters: Iterable[str]) -> str:
    return f"[{''.join(map(_escaped, sorted(letters)))}]"


def _others(letters: Iterable[str]) -> Iterator[str]:
    """Classes that together match all characters except ``letters``."""
    for first, last in _BLOCKS:
        ranges, begin = "", first
        for at in sorted(code for code in map(ord, letters) if first <= code <= last):
            ranges += _range(begin, at - 1)
            begin = at + 1
        yield f"[{ranges}{_range(begin, last)}]"


def _range(first: int, last: int) -> str:
    return f"{_escaped(chr(first))}-{_escaped(chr(last))}" if first <= last else ""


def _escaped(character: str) -> str:
    return re.sub(r"[\^$\\.*+?()\[\]{}|/-]", r"\\\g<0>", character)


def _group(path: str) -> str:
    return f"(?:{path})" if "|" in path else path


def _optional(paths: list[str]) -> str:
    return f"(?:{'|'.join(paths)})?" if paths else ""
