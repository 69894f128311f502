"""Parses a review's Markdown into sections and a decision. Never raises, never guesses.

1. Thinking is removed: ``<think>`` and similar marks with the text between them; from a mark that
   begins a line and is never closed, everything to the end; and everything before a ``</think>``
   alone on a line, as the prompt may have opened it. Marks in quotes or backticks are kept.
2. The rest is split into sections by :class:`app.review.sectioning.SectionStream`.
3. The decision is read from verdict lines anywhere in the text, or else from prose in the final
   recommendation and the last paragraph; the rules are in :mod:`app.review.decision`.
4. A text without sections and decision that begins by declining is a refusal.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.review.decision import Decision, is_refusal, prose_decisions, verdict_lines
from app.review.headings import THOUGHTS, VERDICT
from app.review.sectioning import SectionDelta, SectionDone, SectionStream
from app.review.structure import Constraint, first_line
from app.review.template import LISTS, SectionSpec

_OPENED = re.compile(rf"(?<![`'\"“‘(])(?:{'|'.join(map(re.escape, THOUGHTS))})", re.IGNORECASE)
_LONE_END = re.compile(
    rf"^[ \t]*(?:{'|'.join(map(re.escape, THOUGHTS.values()))})[ \t\r]*$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class ParsedReview:
    """A parsed review.

    ``prose`` and ``points`` contain the sections that were found, by field: a text, or a list's
    items. ``decisions`` are all decisions that the text states. ``verdict_at`` is the offset of the
    first verdict line that counts, or None. ``refused`` is true if the model declined to review.
    ``cut`` names the sections that were cut off; their values end with the last whole sentence or
    point. ``repeated`` counts the points that were left out as repetitions of earlier ones.
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
        """The decision of the text; None if it states none, or contradicts itself."""
        return next(iter(self.decisions)) if len(self.decisions) == 1 else None

    @property
    def claims(self) -> list[str]:
        """The points for which evidence is searched."""
        return [text for field in LISTS for text in self.points.get(field, ())]


def parse_review(
    text: str,
    sections: Sequence[SectionSpec],
    constraint: Constraint | None = None,
    *,
    constraint_ended_at: int | None = None,
    cut: bool = False,
) -> ParsedReview:
    """Parse a review that a model wrote, in any form.

    ``constraint`` is the format that the engine enforced, up to the offset ``constraint_ended_at``
    if that is given. ``cut`` is true if the text ends before the model ended it.
    """
    if constraint and text.startswith(first_line(sections)):
        stream = SectionStream(sections, constraint)
        events = stream.feed(text[:constraint_ended_at])
        if constraint_ended_at is not None:
            stream.release()
            events += stream.feed(text[constraint_ended_at:])
        # A constrained text contains no thinking, so marks of it in the text are kept.
        spans = _outside_thinking(text) if stream.is_unconstrained else [(0, len(text))]
        answer = _Answer(text, spans)
    else:
        answer, stream = _Answer(text, _outside_thinking(text)), SectionStream(sections)
        events = stream.feed(answer.text)
    return _read(answer, [*events, *stream.close(cut=cut)])


def without_thinking(text: str) -> str:
    """The text without the model's thinking."""
    return _Answer(text, _outside_thinking(text)).text.strip()


def _read(answer: _Answer, events: Iterable[SectionDelta | SectionDone]) -> ParsedReview:
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
    verdict = verdict_lines(answer.text)
    decisions = verdict.decisions or prose_decisions("".join(final), answer.text)
    reviewed = decisions or any(prose.values()) or any(points.values())
    return ParsedReview(
        prose,
        points,
        decisions,
        None if verdict.at is None else answer.offset(verdict.at),
        refused=not reviewed and is_refusal(answer.text),
        cut=tuple(section.field for section in done if section.cut),
        repeated=sum(section.repeated for section in done),
    )


class _Answer:
    """The parts of a text within ``spans`` (pairs of start and end), joined by line breaks."""

    def __init__(self, text: str, spans: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._offsets: list[int] = []
        pieces: list[str] = []
        length = 0
        for start, end in spans:
            if pieces:
                pieces.append("\n")
                length += 1
            self._starts.append(length)
            self._offsets.append(start)
            pieces.append(text[start:end])
            length += end - start
        self.text = "".join(pieces)

    def offset(self, at: int) -> int:
        """The offset in the original text of the character at ``at``."""
        piece = bisect_right(self._starts, at) - 1
        return self._offsets[piece] + at - self._starts[piece]


def _outside_thinking(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each part of a text that is not thinking."""
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
