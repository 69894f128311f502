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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.review.decision import Decision, is_refusal, prose_decisions, verdict_lines
from app.review.headings import THOUGHTS, VERDICT
from app.review.sectioning import SectionDelta, SectionStream
from app.review.template import SectionSpec

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
    that the model declined to review.
    """

    prose: Mapping[str, str]
    points: Mapping[str, tuple[str, ...]]
    decisions: frozenset[Decision]
    verdict_at: int | None
    refused: bool

    @property
    def decision(self) -> Decision | None:
        """The one decision of the text; None where it has none, or two that disagree."""
        return next(iter(self.decisions)) if len(self.decisions) == 1 else None


def parse_review(text: str, sections: Sequence[SectionSpec], *, held: bool = False) -> ParsedReview:
    """Read a review that a model wrote, whole or cut off, in whatever form.

    ``held`` tells that the engine was to hold it to the template's own headings. A server that does
    not know how has written freely: then the text is read so.
    """
    if held:
        prose, points, _ = _sections(text, SectionStream(sections, held=True))
        if any(prose.values()) or any(points.values()):
            verdict = verdict_lines(text)
            return ParsedReview(prose, points, verdict.decisions, verdict.at, refused=False)
    said = _Said(text)
    prose, points, final = _sections(said.text, SectionStream(sections))
    verdict = verdict_lines(said.text)
    decisions = verdict.decisions or prose_decisions(final, said.text)
    reviewed = decisions or any(prose.values()) or any(points.values())
    return ParsedReview(
        prose,
        points,
        decisions,
        None if verdict.at is None else said.offset(verdict.at),
        refused=not reviewed and is_refusal(said.text),
    )


def without_thinking(text: str) -> str:
    """A text as it is parsed: without the thinking in it."""
    return _Said(text).text.strip()


def _sections(
    text: str, stream: SectionStream
) -> tuple[dict[str, str], dict[str, tuple[str, ...]], str]:
    """Texts and lists by their fields, and what stands under the final recommendation."""
    prose: dict[str, str] = {}
    points: dict[str, tuple[str, ...]] = {}
    final: list[str] = []
    for event in [*stream.feed(text), *stream.close()]:
        if isinstance(event, SectionDelta):
            if event.field == VERDICT:
                final.append(event.text)
        elif isinstance(event.value, str):
            prose[event.field] = event.value
        else:
            points[event.field] = event.value
    return prose, points, "".join(final)


class _Said:
    """A text without the thinking in it, each gap a line's end."""

    def __init__(self, text: str) -> None:
        self._starts: list[int] = []
        self._offsets: list[int] = []
        pieces: list[str] = []
        length = 0
        for start, end in _spoken(text):
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
