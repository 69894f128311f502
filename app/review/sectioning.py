"""Splits a review into its sections, also while it is still being written."""

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
    ConstrainedLineReader,
    Heading,
    LineReader,
)
from app.review.structure import Constraint, first_line
from app.review.template import SectionSpec
from app.review.values import Value, comparable, is_whole, section_value, without_the_cut

_DEEPEST = 99


@dataclass(frozen=True, slots=True)
class SectionDelta:
    """The next piece of text. ``field`` is a section's field, or PREAMBLE, VERDICT or OTHER."""

    field: str
    text: str


@dataclass(frozen=True, slots=True)
class SectionDone:
    """A finished section of the template: a list's items, or a text.

    ``cut`` is true if the section was cut off; its value then ends with the last whole sentence or
    point. ``repeated`` counts the points that were left out as repetitions.
    """

    field: str
    value: Value
    cut: bool = False
    repeated: int = 0


class SectionStream:
    """Splits a review into its sections while it is being written.

    Text is passed on as it arrives. Only the beginning of a line waits, as long as it can become a
    heading. Thinking that begins a line is left out.

    - A heading of any level begins a section, and so does a label, which counts as deeper than any
      ``#``. An unknown heading that is deeper than the section's own is a part of the section.
    - In a list section, a deeper heading with the name of a prose section is an item of the list:
      "**Clarity:** hard to read" among the weaknesses.
    - A numbered or bulleted label with text after it is an item, unless sections of this review
      begin with such labels, or no section has begun yet.
    - If a section occurs several times, the first occurrence that is not empty counts.
    - The verdict line begins the verdict, with or without a heading above it.
    - A point that repeats an earlier one, in any list, is left out.

    Under a constraint, only the template's exact headings count, and a section that has filled its
    budget ends with its last whole sentence or point. A text that violates the constraint is read
    as unconstrained: some upstream servers ignore parameters that they don't know.
    """

    def __init__(
        self, sections: Sequence[SectionSpec], constraint: Constraint | None = None
    ) -> None:
        """``constraint`` is the format that the engine enforces."""
        self._sections = tuple(sections)
        self._specs = {spec.field: spec for spec in sections}
        self._constraint = constraint
        self._reader: ConstrainedLineReader | LineReader = (
            ConstrainedLineReader(sections) if constraint else _line_reader(self._sections)
        )
        self._expected_start = first_line(sections) if constraint else ""
        self._pending = ""
        self._in_line = False
        self._thought = ""
        self._field, self._rank = PREAMBLE, _DEEPEST
        self._section: list[str] = []
        self._blank = True
        self._empty: dict[str, Value] = {}
        self._done: set[str] = set()
        self._points: set[str] = set()

    def feed(self, text: str) -> list[SectionDelta | SectionDone]:
        """Read the next piece of the review; returns what it completes, in order."""
        return _merged(self._read(text, ended=False))

    def release(self) -> None:
        """Read the text from here on as unconstrained."""
        if self._constraint:
            self._constraint, self._expected_start = None, ""
            self._reader = _line_reader(self._sections)

    @property
    def is_unconstrained(self) -> bool:
        """Whether the text is read as unconstrained from here on."""
        return self._constraint is None

    def close(self, *, cut: bool = False) -> list[SectionDelta | SectionDone]:
        """End the review; returns what was still waiting. ``cut``: it was cut off here."""
        return _merged(self._read("", ended=True, cut=cut))

    def _read(
        self, text: str, *, ended: bool, cut: bool = False
    ) -> Iterator[SectionDelta | SectionDone]:
        buffer, at = self._pending + text, 0
        if self._expected_start:
            if self._expected_start.startswith(buffer) and not ended:
                self._pending = buffer
                return
            if not buffer.startswith(self._expected_start):
                self.release()
            self._expected_start = ""
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
        self._pending = "" if ended else buffer[at:]
        if ended:
            yield from self._end(cut=cut)
            yield from (SectionDone(*found) for found in self._empty.items())
            self._empty = {}

    def _skip_thought(self, buffer: str, at: int) -> tuple[int, bool]:
        """The offset after the thought, and true; if it has not ended, the offset up to which the
        text surely belongs to it, and false.
        """
        end = re.compile(re.escape(self._thought), re.IGNORECASE).search(buffer, at)
        if end is None:
            return max(at, len(buffer) - len(self._thought) + 1), False
        at = end.end()
        self._thought = ""
        return at, True

    def _begin_line(self, buffer: str, at: int, *, ended: bool) -> tuple[int, list[SectionDone]]:
        """Open a section at a heading, or pass the line on; do neither while it is undecided."""
        line = self._reader.read(buffer, at, ended=ended)
        if line.undecided:
            return at, []
        if self._constraint and buffer[at] == "#" and not line.heading:
            # The constraint would not have allowed this heading, so it is not in force.
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
            # "# Review summary" with "## Summary" right below it.
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
    """The events, with consecutive deltas of one field joined."""
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
