"""Recognises the lines of a review that are headings, also while a line is still being written.

A heading is a section's name in one of these forms:

- ``## Summary``, ``###2. **Strengths** ##``, ``# Clarity: text that goes on``: any level;
- ``**Summary**``, ``__1. Summary:__``, ``**Summary:** text``, ``**Summary** - text``;
- ``Summary`` or ``SUMMARY:`` alone on a line (underlined or not), ``Summary: text``;
- ``1. Strengths``, ``(a) **Strengths:** text``, ``- **Strengths:**``.

A section's name is its whole heading in the template, one of the parts that an "and" joins in it,
or its last word ("Soundness" for "Technical Soundness"), unless another section could be meant by
that. Singular and plural count as the same. Neutral words may come before it ("Key Strengths") and
other words after it ("Strengths of the Paper"). A heading that names two sections, such as
"Strengths and Weaknesses", begins neither: the text up to the next heading belongs to no section.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import regex  # type: ignore[import-untyped]  # for its partial matches

from app.review.template import VERDICT_HEADING, VERDICT_LEAD, SectionSpec

PREAMBLE = "preamble"
"""The field of text before the first heading."""
VERDICT = "verdict"
"""The field of the verdict line, and of text under the final recommendation's heading."""
OTHER = "other"
"""The field of text under a heading of no section, or of a section that has been read before."""

_CONSTRAINED_RANK = 2
LABEL_RANK = 7
"""A bold or plain label ranks below any ``######`` heading."""
NUMBERED_RANK = 8
BULLET_RANK = 9

THOUGHTS = {
    "<think>": "</think>",
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    # Gemma 4.
    "<|channel>thought": "<channel|>",
}
"""The marks around a model's thinking: the opening mark, and the closing one."""

_NEUTRAL = "overall|main|key|major|brief|short|detailed|general|paper|review|the|my|your|its"
_NEUTRAL_WORDS = frozenset(_NEUTRAL.split("|"))
_VERDICT_NAME = (
    r"(?:(?:final|acceptance|reviewer'?s|"
    + _NEUTRAL
    + r")[ \t]{1,3}){0,3}(?:recommendation|decision|verdict)"
)
_NUMBER = r"\(?(?:\d{1,2}(?:\.\d{1,2}){0,2}|[a-z]|[ivx]{1,4})[.):][ \t]{0,3}"
_MARK = r"\*{1,3}|_{1,3}"
_LONGEST_TITLE = 120
_LONGEST_LINE = 400
"""Characters of the longest line that can be a heading without text after it."""
_MOST_EXTRA_WORDS = 6


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading. ``field`` is that of the section it names; None if it names no section.

    ``rank`` grows with depth: the number of ``#``, or one of the ranks above. ``part`` is true if
    only a part of the section's name is given, ``runs_in`` if text follows on the same line.
    """

    field: str | None
    rank: int
    part: bool = False
    runs_in: bool = False


class Names:
    """The names by which each section is recognised."""

    def __init__(self, sections: Sequence[SectionSpec]) -> None:
        self._whole = {_words(spec.heading): spec.field for spec in reversed(sections)}
        claims: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
        for spec in sections:
            for part in _parts(_words(spec.heading)):
                claims[part].add(spec.field)
        self._parts = {
            part: next(iter(fields))
            for part, fields in claims.items()
            if len(fields) == 1 and part not in self._whole
        }
        self._all = {**self._parts, **self._whole}

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        return iter(self._all)

    def find(self, title: str) -> tuple[str | None, bool]:
        """The field that a title names (OTHER if it names two), and whether by a part of its
        name.
        """
        words = _words(title)
        while words:
            if field := self._all.get(words):
                return field, words in self._parts
            if re.fullmatch(_VERDICT_NAME + r"(?: (?:and|on|for) .*)?", " ".join(_plain(title))):
                return VERDICT, False
            if words[0] not in _NEUTRAL_WORDS:
                break
            words = words[1:]
        return self._find_loosely(words), False

    def _find_loosely(self, words: tuple[str, ...]) -> str | None:
        """Like :meth:`find`, for a name among other words."""
        if words == _words(VERDICT_HEADING):
            return VERDICT
        if "of" in words:
            # "Summary of strengths" names the strengths.
            at = len(words) - words[::-1].index("of")
            if field := self._find_loosely(words[at:]):
                return field
            words = words[: at - 1]
        found: dict[str, tuple[int, int]] = {}
        for size in range(1, len(words) + 1):
            for start in range(len(words) - size + 1):
                if field := self._all.get(words[start : start + size]):
                    found[field] = (start, size)
        if len(found) > 1:
            return OTHER
        for field, (start, size) in found.items():
            before = words[:start]
            joined = not before or before[-1] == "and" or _NEUTRAL_WORDS.issuperset(before)
            if joined and len(words) - size <= _MOST_EXTRA_WORDS:
                return field
        return None


class LineReader:
    """Classifies the beginning of a line: a heading, the verdict line, thinking, or text."""

    def __init__(self, sections: Sequence[SectionSpec]) -> None:
        self._names = Names(sections)
        known = sorted((_spelled(words) for words in self._names), key=len, reverse=True)
        name = (
            rf"(?P<name>(?:(?:{_NEUTRAL})[ \t]{{1,3}}){{0,2}}"
            rf"(?:{'|'.join([*known, _VERDICT_NAME, f'{VERDICT_HEADING}s'])}))"
        )
        more = r"(?P<more>[ \t]{0,2}(?:[&/,(]|(?:and|of|for|in|vs)\b)[^\n*_:.!?;]{0,60})?"
        alone = r"[ \t\r]{0,20}\n"
        lead = (
            r"[ \t]{0,12}(?P<level>#{1,6}[ \t]{0,3})?(?P<bullet>[-*•+–][ \t]{1,3})?"
            rf"(?P<number>{_NUMBER})?"
        )
        # Every repetition is bounded, so the time for a line does not depend on its length.
        self._line = regex.compile(
            rf"(?:{lead}(?:"
            rf"(?P<mark>{_MARK})(?:{_NUMBER})?{name}{more}"
            rf"(?:(?P=mark)[ \t]{{0,2}}:?{alone}|[ \t]{{0,2}}:[ \t]{{0,2}}(?P=mark){alone}"
            rf"|(?P=mark)[ \t]{{0,2}}[:–—-][ \t]{{0,3}}(?P<first>[^\s])"
            rf"|[ \t]{{0,2}}:[ \t]{{0,2}}(?P=mark)[ \t]{{0,3}}(?P<first>[^\s]))"
            rf"|{name}(?:{more}[ \t]{{0,2}}:?{alone}|[ \t]{{0,2}}:[ \t]{{1,3}}(?P<first>[^\s]))"
            r"))"
            rf"|[ \t]{{0,12}}(?P<hashes>#{{1,6}})(?P<title>[^\n#][^\n]{{0,{_LONGEST_TITLE}}})\n"
            rf"|(?P<verdict>[ \t>]{{0,12}}[*_\"“'`]{{0,4}}{VERDICT_LEAD}[ \t]{{1,5}}"
            r"[*_\"“'`]{0,4}(?:ACC|REJ))"
            rf"|[ \t]{{0,12}}(?P<thought>{'|'.join(map(regex.escape, THOUGHTS))})",
            regex.IGNORECASE,
        )

    def read(self, text: str, at: int, *, ended: bool) -> Line:
        """Classify the line that begins at ``at``. It may be incomplete unless ``ended`` is
        true.
        """
        match = self._line.match(text, at, partial=not ended)
        if match is None and ended and text.find("\n", at) < 0 and len(text) - at < _LONGEST_LINE:
            # The text's last line may lack a line break, which the pattern needs.
            match, at = self._line.match(f"{text[at:]}\n"), 0
        if match is None:
            return Line()
        if match.partial:
            return Line(undecided=True)
        if match["thought"]:
            return Line(thought=match["thought"].lower(), start=match.end() - at)
        if match["verdict"]:
            return Line(Heading(VERDICT, LABEL_RANK, runs_in=True))
        heading = self._titled(match) if match["title"] else self._labelled(match)
        first = match.start("first") if heading and heading.runs_in else match.end()
        return Line(heading, start=first - at)

    def _titled(self, match: regex.Match[str]) -> Heading | None:
        rank, title = len(match["hashes"]), match["title"]
        field, part = self._names.find(title)
        if field is None and (not title[0].isspace() or title.isspace()):
            return None
        return Heading(field, rank, part)

    def _labelled(self, match: regex.Match[str]) -> Heading | None:
        first_letter = match["name"][0]
        if not (match["mark"] or match["level"] or first_letter.isupper()):
            return None
        field, part = self._names.find(match["name"] + (match["more"] or ""))
        if field is None:
            return None
        if match["level"]:
            rank = match["level"].count("#")
        elif match["bullet"]:
            rank = BULLET_RANK
        else:
            rank = NUMBERED_RANK if match["number"] else LABEL_RANK
        return Heading(field, rank, part, runs_in=match["first"] is not None)


class ConstrainedLineReader:
    """Like :class:`LineReader`, for text under a constraint: only the template's exact headings
    are headings, so no other line has to wait for its end.
    """

    def __init__(self, sections: Sequence[SectionSpec]) -> None:
        self._fields = {f"## {spec.heading}": spec.field for spec in sections}
        self._fields[f"## {VERDICT_HEADING}"] = VERDICT

    def read(self, text: str, at: int, *, ended: bool) -> Line:
        """Classify the line that begins at ``at``; see :meth:`LineReader.read`."""
        if text[at] != "#":
            return Line()
        end = text.find("\n", at)
        if end < 0 and not ended:
            return Line(undecided=True)
        line = text[at:end] if end >= 0 else text[at:]
        if line not in self._fields:
            return Line()
        return Line(Heading(self._fields[line], _CONSTRAINED_RANK), start=len(line) + 1)


@dataclass(frozen=True, slots=True)
class Line:
    """How a line begins; its text goes on at ``start``, an offset from the line's beginning.

    ``undecided`` is true if the line must be longer for a decision.
    """

    heading: Heading | None = None
    thought: str = ""
    undecided: bool = False
    start: int = 0


def _plain(title: str) -> list[str]:
    title = re.sub(r"^[\W_]*" + _NUMBER + r"(?=\W*\w)", "", title.lower())
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?|[&/,]", title)


def _words(title: str) -> tuple[str, ...]:
    """A title's words in a normal form: lower case, singular, "and" for "&", "/" and ","."""
    words: list[str] = []
    for plain in _plain(title):
        word = "and" if plain in ("&", "/", ",") else _singular(plain)
        if word != "and" or (words and words[-1] != "and"):
            words.append(word)
    if words and words[-1] == "and":
        words.pop()
    return tuple(words)


def _singular(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _spelled(words: Iterable[str]) -> str:
    """A pattern for the spellings of a name in normal form."""
    joint = r"(?:[ \t]{1,3}and[ \t]{1,3}|[ \t]{0,3}[&/,][ \t]{0,3}(?:and[ \t]{1,3})?)"
    gap, pattern = "", ""
    for word in words:
        if word == "and":
            gap = joint
        else:
            pattern += f"{gap}{regex.escape(word)}(?:e?s)?"
            gap = r"[ \t]{1,3}"
    return pattern


def _parts(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The shorter names of a heading with these words."""
    if "and" in words:
        start = 0
        for at in [*(i for i, word in enumerate(words) if word == "and"), len(words)]:
            if words[start:at]:
                yield words[start:at]
            start = at + 1
    elif len(words) > 1 and not {"of", "for", "in", "to", "on"}.intersection(words):
        yield words[-1:]
