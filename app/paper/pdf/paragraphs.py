"""Joins lines to paragraphs across columns and floats, and places footnotes after their marks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.paper.clean import HYPHENS, Vocabulary, join_lines
from app.paper.model import Anchor, Paragraph, ParagraphKind
from app.paper.pdf.labels import NOTE_MARK, Body, begins_note, is_caption
from app.paper.pdf.lines import Line

_BULLET = re.compile(r"[•‣◦▪●■∗*–]\s|\(?(\d{1,2}|[a-z]|[ivx]{1,4})[.)]\s")
_TERMINAL = re.compile(r"[.!?:;][\"'”’)\]]*(\s?\[[\d, –-]+\])?$")
_LOWER = re.compile(r"[“‘\"'(\[]?[^\W\dA-Z_]|[\d(\[=+−<>≤≥∈]")
_ROWS: tuple[ParagraphKind, ...] = ("table", "figure", "equation")
"""Kinds whose lines are not joined."""
_FARTHEST = 2
"""Most pages between two lines of a sentence: a float may fill a page."""


@dataclass(slots=True)
class Draft:
    """The lines of a paragraph. ``skip`` characters of the first line belong to a heading."""

    kind: ParagraphKind
    lines: list[Line] = field(default_factory=list)
    skip: int = 0


class Drafter:
    """Groups the lines of one section into paragraphs.

    ``hanging`` is for lists of references, whose entries have hanging indentation.
    """

    def __init__(self, body: Body, *, hanging: bool = False) -> None:
        self._body = body
        self._hanging = hanging
        self.drafts: list[Draft] = []
        self._current: Draft | None = None
        self._running: Draft | None = None

    def add(self, line: Line, kind: ParagraphKind, skip: int = 0) -> None:
        """Add the next line in reading order, without its first ``skip`` characters."""
        current, running = self._current, self._running
        if current and current.kind == kind and not skip and not self._breaks(current, line):
            current.lines.append(line)
        elif kind == "text" and running and not skip and self._resumes(running, line):
            # There was a float in between, which then follows the paragraph.
            running.lines.append(line)
            self._current = running
        else:
            self._begin(Draft(kind, [line], skip))

    def _begin(self, draft: Draft) -> None:
        self.drafts.append(draft)
        self._current = draft
        if draft.kind == "text":
            self._running = draft
        elif draft.kind == "equation" and not self._is_divided():
            # Text after an equation stays after it, even if the sentence continues.
            self._running = None

    def _is_divided(self) -> bool:
        return self._running is not None and self._running.lines[-1].text.endswith(HYPHENS)

    def _breaks(self, draft: Draft, line: Line) -> bool:
        above = draft.lines[-1]
        if draft.kind in _ROWS:
            return line.page != above.page
        if line.page != above.page or line.y1 < above.y0:
            return True
        if above.text.endswith(HYPHENS) and _LOWER.match(line.text):
            return False
        if draft.kind == "footnote":
            return begins_note(line)
        if abs(line.size - above.size) > 1.5:
            return True
        if draft.kind == "caption":
            return is_caption(line) or line.y0 - above.y1 > line.size
        if line.y0 - above.y0 > 1.35 * max(self._body.leading, above.size):
            return True
        return self._begins_anew(draft, above, line)

    def _begins_anew(self, draft: Draft, above: Line, line: Line) -> bool:
        """Whether the line begins a paragraph: by indentation, a bullet or a short line above."""
        ended = _TERMINAL.search(above.text) is not None
        shift = line.x0 - above.x0
        if self._hanging:
            return shift < -0.5 * line.size or (line.block != above.block and ended)
        if shift < -0.8 * line.size and len(draft.lines) > 1 and ended:
            return True
        if not ended:
            return False
        right = max(max(of.x1 for of in draft.lines[-3:]), above.x0 + 0.9 * self._body.measure)
        short = above.x1 < right - 2.5 * line.size
        return short or shift > 0.8 * line.size or _BULLET.match(line.text) is not None

    def _resumes(self, running: Draft, line: Line) -> bool:
        """Whether the line continues a sentence that a float or the end of a page interrupted."""
        last = running.lines[-1]
        if line.page - last.page > _FARTHEST or abs(line.size - last.size) > 0.6:
            return False
        if last.text.endswith(HYPHENS):
            return True
        if _TERMINAL.search(last.text) or _BULLET.match(line.text):
            return False
        full = last.x1 - last.x0 > 0.9 * self._body.measure
        return full or _LOWER.match(line.text) is not None


def place_notes(sections: Sequence[Sequence[Draft]]) -> list[list[Draft]]:
    """The drafts of each section, with each footnote after the paragraph that has its mark."""
    bearers: dict[tuple[int, str], int] = {}
    for draft in (draft for drafts in sections for draft in drafts if draft.kind != "footnote"):
        for line in draft.lines:
            for mark in line.marks:
                bearers.setdefault((line.page, mark), id(draft))
    followers: defaultdict[int, list[Draft]] = defaultdict(list)
    moved: set[int] = set()
    for note in (draft for drafts in sections for draft in drafts if draft.kind == "footnote"):
        begins = NOTE_MARK.match(note.lines[0].text)
        bearer = bearers.get((note.lines[0].page, begins[1])) if begins else None
        if bearer is not None:
            followers[bearer].append(note)
            moved.add(id(note))
    return [
        [
            placed
            for draft in drafts
            if id(draft) not in moved
            for placed in (draft, *followers[id(draft)])
        ]
        for drafts in sections
    ]


def paragraphs(drafts: Iterable[Draft], vocabulary: Vocabulary) -> tuple[Paragraph, ...]:
    """The drafts' text; empty ones are left out."""
    made = (_paragraph(draft, vocabulary) for draft in drafts)
    return tuple(paragraph for paragraph in made if paragraph.text)


def _paragraph(draft: Draft, vocabulary: Vocabulary) -> Paragraph:
    texts = [line.text for line in draft.lines]
    if not texts:
        return Paragraph("", draft.kind)
    texts[0] = texts[0][draft.skip :].lstrip()
    text, starts = _rows(texts) if draft.kind in _ROWS else join_lines(texts, vocabulary)
    return Paragraph(text, draft.kind, anchors(draft.lines, starts, len(text)))


def anchors(lines: Sequence[Line], starts: Sequence[int], length: int) -> tuple[Anchor, ...]:
    """The position on the pages of each line's part of a text of ``length`` characters."""
    ends = [*starts[1:], length][: len(starts)]
    return tuple(
        Anchor(start, end, line.page, line.bbox)
        for line, start, end in zip(lines, starts, ends, strict=True)
    )


def _rows(texts: Sequence[str]) -> tuple[str, list[int]]:
    starts, length = [], 0
    for text in texts:
        starts.append(length)
        length += len(text) + 1
    return "\n".join(texts), starts
