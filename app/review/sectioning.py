"""Cuts a review into its sections, whole or while it is still being written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.review.headings import (
    NUMBERED_RANK,
    OTHER,
    PREAMBLE,
    THOUGHTS,
    VERDICT,
    Heading,
    HeldLineReader,
    LineReader,
)
from app.review.template import SectionSpec

_DEEPEST = 99

_RULE = re.compile(r"[ \t]*(?:[-*_][ \t]?){3,}[ \t]*|[ \t]*[-=]{2,}[ \t]*")
_FENCE = re.compile(r"[ \t]*(?:```|~~~)[\w-]*[ \t]*")
_BULLET = re.compile(
    r"[ \t]*(?:"
    r"(?:[-*+–—]|\d{1,2}[.):]|\(\d{1,2}\)|\(?[a-zA-Z][.)]|[(\[]?[A-Z]{1,2}\d{1,2}[.:)\]]{1,2})"
    r"(?:[ \t]+|$)"
    # These need no space after them.
    r"|[•▪◦‣●][ \t]*|[-–](?=[^\W\d_]|\*\*)"
    # "**1.** text" and "**1. Title** text", whose mark is dropped and whose boldness stays.
    r"|(?:\*\*|__)(?:\d{1,2}|[A-Z]{1,2}\d{1,2})[.):]{1,2}(?:(?:\*\*|__)[ \t]*|[ \t]+(?P<bold>))"
    r")(?P<text>.*)"
)
_NUMBER = re.compile(r"^\d{1,2}[.)][ \t]+")
_LEAD_IN = re.compile(r"[ \t]*(?:\*\*|__)[^*_\n]{1,120}(?:\*\*|__)[ \t]*:?(?P<rest>.*)")
_NESTED = 2
"""Columns by which an item is deeper than another."""


@dataclass(frozen=True, slots=True)
class SectionDelta:
    """The next piece of a section. ``field`` is its spec's, or PREAMBLE, VERDICT or OTHER."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class SectionDone:
    """A section of the template, finished: a list's items, or else a text."""

    field: str
    value: str | tuple[str, ...]


class SectionStream:
    """Cuts a review that is still being written into its sections.

    Text flows as it comes. Only the beginning of a line is held back, for as long as it can become
    a heading. A model's thinking is left out where it begins a line.

    - A heading of any level begins a section, and so does a label, which counts as deeper than any
      ``#``. An unknown heading that is deeper than its section's is a part of that section.
    - In a section that is a list, a deeper heading named like a section of prose is an aspect of
      the list: "**Clarity:** hard to read" among the weaknesses.
    - A numbered or bulleted label with text after it is an item, unless such labels are what the
      sections began with, or none has begun yet.
    - The first section of a name that is not empty is the one that counts.
    - The verdict's line begins the verdict, with or without a heading over it.
    """

    def __init__(self, sections: Sequence[SectionSpec], *, held: bool = False) -> None:
        """``held`` tells that the engine holds the text to the template's own headings."""
        self._specs = {spec.field: spec for spec in sections}
        self._reader = HeldLineReader(sections) if held else _line_reader(tuple(sections))
        self._held = ""
        self._in_line = False
        self._thought = ""
        self._field, self._rank = PREAMBLE, _DEEPEST
        self._section: list[str] = []
        self._blank = True
        self._empty: dict[str, str | tuple[str, ...]] = {}
        self._done: set[str] = set()

    def feed(self, text: str) -> list[SectionDelta | SectionDone]:
        """What the next piece of the review brings, in order."""
        return _merged(self._read(text, ended=False))

    def close(self) -> list[SectionDelta | SectionDone]:
        """What was held back; the review is over."""
        return _merged(self._read("", ended=True))

    def _read(self, text: str, *, ended: bool) -> Iterator[SectionDelta | SectionDone]:
        buffer, at = self._held + text, 0
        while at < len(buffer):
            if self._thought:
                at, moved = self._skip_thought(buffer, at)
            elif self._in_line:
                stop = buffer.find("\n", at) + 1
                self._in_line = not stop
                yield self._flow(buffer[at : stop or len(buffer)])
                at, moved = stop or len(buffer), True
            else:
                before = at
                at, done = self._begin_line(buffer, at, ended=ended)
                yield from done
                moved = at > before or self._in_line or bool(self._thought)
            if not moved:
                break
        self._held = "" if ended else buffer[at:]
        if ended:
            yield from self._end()
            yield from (SectionDone(*found) for found in self._empty.items())
            self._empty = {}

    def _skip_thought(self, buffer: str, at: int) -> tuple[int, bool]:
        """Behind the thought's end, or else as far as it surely reaches; whether it ended."""
        end = re.compile(re.escape(self._thought), re.IGNORECASE).search(buffer, at)
        if end is None:
            return max(at, len(buffer) - len(self._thought) + 1), False
        at = end.end()
        self._thought = ""
        return at, True

    def _begin_line(self, buffer: str, at: int, *, ended: bool) -> tuple[int, list[SectionDone]]:
        """Takes a heading, or lets the line flow; neither while it is undecided."""
        line = self._reader.read(buffer, at, ended=ended)
        if line.undecided:
            return at, []
        if line.thought:
            self._thought = THOUGHTS[line.thought]
            return at + line.start, []
        heading = line.heading
        self._in_line = heading is None or heading.runs_in
        if heading is None or not self._begins_section(heading):
            self._in_line = True
            return at, []
        done = self._open(heading)
        return min(at + line.start, len(buffer)), done

    def _begins_section(self, heading: Heading) -> bool:
        spec = self._specs.get(self._field)
        in_section = spec is not None or self._field == VERDICT
        deeper = heading.rank > self._rank
        if heading.field is None:
            return not (in_section and deeper)
        item = heading.rank > NUMBERED_RANK or (heading.rank == NUMBERED_RANK and heading.runs_in)
        if item and in_section and self._rank < NUMBERED_RANK:
            return False
        if heading.field == self._field and (heading.part or (deeper and not self._blank)):
            return False
        named = self._specs.get(heading.field)
        aspect = spec is not None and spec.bullets and named is not None and not named.bullets
        return not (aspect and deeper)

    def _open(self, heading: Heading) -> list[SectionDone]:
        if heading.field == self._field and self._blank and self._field in self._specs:
            # "# Review summary", and "## Summary" under it.
            return []
        done = list(self._end())
        field = heading.field or OTHER
        self._field = OTHER if field in self._done else field
        self._rank = heading.rank
        if self._field in self._specs:
            self._empty.setdefault(self._field, section_value("", self._specs[self._field]))
        return done

    def _end(self) -> Iterator[SectionDone]:
        spec = self._specs.get(self._field)
        value = section_value("".join(self._section), spec) if spec else ""
        self._section, self._blank = [], True
        if spec and value:
            self._done.add(spec.field)
            del self._empty[spec.field]
            yield SectionDone(spec.field, value)

    def _flow(self, text: str) -> SectionDelta:
        self._blank = self._blank and text.isspace()
        if self._field in self._specs:
            self._section.append(text)
        return SectionDelta(self._field, text)


@lru_cache(maxsize=32)
def _line_reader(sections: tuple[SectionSpec, ...]) -> LineReader:
    return LineReader(sections)


def _merged(
    events: Iterator[SectionDelta | SectionDone],
) -> list[SectionDelta | SectionDone]:
    """The events, with the deltas of one field between two others in one piece."""
    merged: list[SectionDelta | SectionDone] = []
    field, pieces = "", list[str]()

    def flush() -> None:
        if pieces:
            merged.append(SectionDelta(field, "".join(pieces)))
            pieces.clear()

    for event in events:
        if isinstance(event, SectionDone) or event.field != field:
            flush()
        if isinstance(event, SectionDone):
            merged.append(event)
        else:
            field = event.field
            pieces.append(event.text)
    flush()
    return merged


def section_value(text: str, spec: SectionSpec) -> str | tuple[str, ...]:
    """What a section's raw text says: a list's items, each on one line, or else a text."""
    lines = [line for line in re.split(r"\r?\n", text) if not _RULE.fullmatch(line)]
    fences = [at for at, line in enumerate(lines) if _FENCE.fullmatch(line)]
    if len(fences) % 2:
        # The end of a fence around the whole review.
        del lines[fences[-1]]
    return _items(lines) if spec.bullets else "\n".join(lines).strip()


def _items(lines: Sequence[str]) -> tuple[str, ...]:
    """The items of a list; without marks, its paragraphs.

    A nested item is a part of the one above it. A line that only introduces the items below it
    ("The strengths are:", "**Major**") is none.
    """
    items: list[list[str]] = []
    introduces = after_blank = False
    base: int | None = None
    for line in lines:
        if not line.strip():
            after_blank = True
            continue
        bullet, indent = _BULLET.fullmatch(line), _indent(line)
        if bullet and (base is None or indent < base + _NESTED):
            if introduces:
                items.pop()
            items.append([_unmarked(bullet)])
            base = indent if base is None else min(base, indent)
        elif bullet:
            items[-1].append(_unmarked(bullet))
        elif not items or _begins_item(line, indent, base, after_blank and not introduces):
            items.append([line.lstrip(" \t#")])
        else:
            items[-1].append(line)
        introduces = not bullet and len(items[-1]) == 1 and _introduces(line)
        after_blank = False
    folded = (" ".join(" ".join(item).split()) for item in items)
    return tuple(item for item in folded if item.strip(" *_-•"))


def _indent(line: str) -> int:
    line = line.expandtabs(4)
    return len(line) - len(line.lstrip())


def _unmarked(bullet: re.Match[str]) -> str:
    if bullet["bold"] is not None:
        return f"**{bullet['text']}"
    # "- 1. text": one mark is enough.
    return _NUMBER.sub("", bullet["text"])


def _begins_item(line: str, indent: int, base: int | None, after_blank: bool) -> bool:
    if base is not None and indent > base:
        return False
    return after_blank or line.startswith("#") or _LEAD_IN.fullmatch(line) is not None


def _introduces(line: str) -> bool:
    lead_in = _LEAD_IN.fullmatch(line)
    label = lead_in is not None and not lead_in["rest"].strip()
    return label or line.rstrip().endswith(":") or line.startswith("#")
