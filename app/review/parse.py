"""A review's markdown -> its sections and its verdict; never an exception, never a guess.

What is read, in this order:

1. Thinking is left out: ``<think>`` and the like up to their end, or to the end of the text where
   one begins a line and is never closed; and all that stands before a lone ``</think>`` line, which
   the prompt may have opened. Tags in quotes or backticks are the review's own words.
2. The rest is cut into sections, as :class:`app.review.sectioning.SectionStream` says.
3. Verdict lines are read anywhere in it; without any, prose in the final recommendation and the
   last paragraph. :mod:`app.review.decision` has the rules.
4. A text without a section or a decision that begins by declining is a refusal.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.review.constraint import Constraint, begins
from app.review.decision import Decision, is_refusal, prose_decisions, verdict_lines
from app.review.headings import THOUGHTS, VERDICT
from app.review.sectioning import SectionDelta, SectionDone, SectionStream
from app.review.template import LISTS, SectionSpec

_OPENED = re.compile(rf"(?<![`'\"“‘(])(?:{'|'.join(map(re.escape, THOUGHTS))})", re.IGNORECASE)
_LONE_END = re.compile(
    rf"^[ \t]*(?:{'|'.join(map(re.escape, THOUGHTS.values()))})[ \t\r]*$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class ParsedReview:
    """What a review's text holds.

    ``prose`` and ``points`` have each section that was found, by its field: a text, or the items of
    a list. ``decisions`` are all that the text states. ``verdict_at`` is the offset in the text
    where the first verdict line that decides begins, or None without such a line. ``refused`` tells
    that the model declined to review. ``cut`` names the sections that were cut off, and end here
    before that; ``repeated`` counts the points left out because they stand earlier in the text.
    """

    prose: Mapping[str, str]
    points: Mapping[str, tuple[str, ...]]
    decisions: frozenset[Decision]
    verdict_at: int | None
    refused: bool
    cut: tuple[str, ...] = ()
    repeated: int = 0

    @property
    def decision(self) -> Decision | None:
        """The one decision of the text; None where it has none, or two that disagree."""
        return next(iter(self.decisions)) if len(self.decisions) == 1 else None

    @property
    def claims(self) -> list[str]:
        """The points whose evidence is looked for."""
        return [text for field in LISTS for text in self.points.get(field, ())]


def parse_review(
    text: str,
    sections: Sequence[SectionSpec],
    constraint: Constraint | None = None,
    *,
    freed_at: int | None = None,
    cut: bool = False,
) -> ParsedReview:
    """Read a review that a model wrote, whole or cut off, in whatever form.

    ``constraint`` is what the engine held it to, and ``freed_at`` where that ended early; ``cut``
    tells that the text was cut off by its token limit.
    """
    if constraint and text.startswith(begins(sections)):
        stream = SectionStream(sections, constraint)
        events = stream.feed(text[:freed_at])
        if freed_at is not None:
            stream.release()
            events += stream.feed(text[freed_at:])
        # What the constraint let through is no thought, whatever it looks like.
        said = _Said(text, _spoken(text) if stream.is_free else [(0, len(text))])
    else:
        said, stream = _Said(text, _spoken(text)), SectionStream(sections)
        events = stream.feed(said.text)
    return _read(said, [*events, *stream.close(cut=cut)])


def without_thinking(text: str) -> str:
    """A text as it is parsed: without the thinking in it."""
    return _Said(text, _spoken(text)).text.strip()


def _read(said: _Said, events: Iterable[SectionDelta | SectionDone]) -> ParsedReview:
    prose: dict[str, str] = {}
    points: dict[str, tuple[str, ...]] = {}
    done: list[SectionDone] = []
    final: list[str] = []
    for event in events:
        if isinstance(event, SectionDelta):
            if event.field == VERDICT:
                final.append(event.text)
            continue
        done.append(event)
        if isinstance(event.value, str):
            prose[event.field] = event.value
        else:
            points[event.field] = event.value
    verdict = verdict_lines(said.text)
    decisions = verdict.decisions or prose_decisions("".join(final), said.text)
    reviewed = decisions or any(prose.values()) or any(points.values())
    return ParsedReview(
        prose,
        points,
        decisions,
        None if verdict.at is None else said.offset(verdict.at),
        refused=not reviewed and is_refusal(said.text),
        cut=tuple(section.field for section in done if section.cut),
        repeated=sum(section.repeated for section in done),
    )


class _Said:
    """The pieces of a text from ``spoken``, their starts and ends, each gap a line's end."""

    def __init__(self, text: str, spoken: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._offsets: list[int] = []
        pieces: list[str] = []
        length = 0
        for start, end in spoken:
            if pieces:
                pieces.append("\n")
                length += 1
            self._starts.append(length)
            self._offsets.append(start)
            pieces.append(text[start:end])
            length += end - start
        self.text = "".join(pieces)

    def offset(self, at: int) -> int:
        """Where in the whole text the character at ``at`` stands."""
        piece = bisect_right(self._starts, at) - 1
        return self._offsets[piece] + at - self._starts[piece]


def _spoken(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each piece of a text that is no thinking."""
    start = 0
    ended = _LONE_END.search(text)
    if ended and not _OPENED.search(text, 0, ended.start()):
        start = ended.end()
    searched = start
    unclosed: set[str] = set()
    while opened := _OPENED.search(text, searched):
        searched = opened.end()
        closing = THOUGHTS[opened[0].lower()]
        closed = None
        if closing not in unclosed:
            closed = re.compile(re.escape(closing), re.IGNORECASE).search(text, searched)
        if closed:
            yield start, opened.start()
            start = searched = closed.end()
            continue
        unclosed.add(closing)
        line = max(text.rfind("\n", start, opened.start()) + 1, start)
        if not text[line : opened.start()].strip(" \t"):
            yield start, opened.start()
            return
    yield start, len(text)
