"""Cuts a review into its sections, whole or while it is still being written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.review.constraint import Constraint, begins
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
from app.review.values import Value, comparable, is_whole, section_value, without_the_cut

_DEEPEST = 99


@dataclass(frozen=True, slots=True)
class SectionDelta:
    """The next piece of a section. ``field`` is its spec's, or PREAMBLE, VERDICT or OTHER."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class SectionDone:
    """A section of the template, finished: a list's items, or else a text.

    ``cut`` tells that it was cut off, and its value ends before that; ``repeated`` counts the
    points left out because they stand earlier in the review.
    """

    field: str
    value: Value
    cut: bool = False
    repeated: int = 0


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
    - A point that stands earlier in the review already, in whatever list, is left out.

    Under a constraint only the template's own headings count, and a section that has used up its
    budget ends with its last whole sentence or point. A text that begins or goes on otherwise than
    the constraint allows is under none: some servers pass over what they don't know.
    """

    def __init__(
        self, sections: Sequence[SectionSpec], constraint: Constraint | None = None
    ) -> None:
        """``constraint`` is what the engine holds the text to."""
        self._sections = tuple(sections)
        self._specs = {spec.field: spec for spec in sections}
        self._constraint = constraint
        self._reader: HeldLineReader | LineReader = (
            HeldLineReader(sections) if constraint else _line_reader(self._sections)
        )
        self._beginning = begins(sections) if constraint else ""
        self._held = ""
        self._in_line = False
        self._thought = ""
        self._field, self._rank = PREAMBLE, _DEEPEST
        self._section: list[str] = []
        self._blank = True
        self._empty: dict[str, Value] = {}
        self._done: set[str] = set()
        self._points: set[str] = set()

    def feed(self, text: str) -> list[SectionDelta | SectionDone]:
        """What the next piece of the review brings, in order."""
        return _merged(self._read(text, ended=False))

    def release(self) -> None:
        """From here on the text is under no constraint."""
        if self._constraint:
            self._constraint, self._beginning = None, ""
            self._reader = _line_reader(self._sections)

    @property
    def is_free(self) -> bool:
        """Whether the text is under no constraint, or no longer."""
        return self._constraint is None

    def close(self, *, cut: bool = False) -> list[SectionDelta | SectionDone]:
        """What was held back; the review is over, ``cut`` off where it stands."""
        return _merged(self._read("", ended=True, cut=cut))

    def _read(
        self, text: str, *, ended: bool, cut: bool = False
    ) -> Iterator[SectionDelta | SectionDone]:
        buffer, at = self._held + text, 0
        if self._beginning:
            if self._beginning.startswith(buffer) and not ended:
                self._held = buffer
                return
            if not buffer.startswith(self._beginning):
                self.release()
            self._beginning = ""
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
            yield from self._end(cut=cut)
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
        if self._constraint and buffer[at] == "#" and not line.heading:
            # The constraint lets no heading through but the template's own.
            self.release()
            return self._begin_line(buffer, at, ended=ended)
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

    def _end(self, *, cut: bool = False) -> Iterator[SectionDone]:
        spec, text = self._specs.get(self._field), "".join(self._section)
        value = section_value(text, spec) if spec else ""
        self._section, self._blank = [], True
        if not spec or not value:
            return
        self._done.add(spec.field)
        del self._empty[spec.field]
        if self._constraint:
            nearly = not is_whole(value)
            cut = cut or self._constraint.is_used_up(spec.field, text.strip(), nearly=nearly)
        if cut:
            value = without_the_cut(value)
        if isinstance(value, str):
            yield SectionDone(spec.field, value, cut)
        else:
            new = tuple(filter(self._is_new, value))
            yield SectionDone(spec.field, new, cut, len(value) - len(new))

    def _is_new(self, point: str) -> bool:
        words = comparable(point)
        known = words in self._points
        self._points.add(words)
        return not known

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
