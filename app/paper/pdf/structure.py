"""Builds a paper from lines: title, abstract, and sections of paragraphs in reading order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.paper.clean import Vocabulary, join_lines
from app.paper.model import Paper, ParagraphKind, Section, SectionKind
from app.paper.pdf.abstract import find_abstract_heading, without_parts
from app.paper.pdf.front import Front, find_front
from app.paper.pdf.headings import RUN_IN_LEVEL, Heading, find_headings
from app.paper.pdf.labels import Body, body_of, label_lines
from app.paper.pdf.lines import Line
from app.paper.pdf.paragraphs import Draft, Drafter, anchors, paragraphs, place_notes
from app.paper.pdf.title import find_title, title_text
from app.paper.section_names import NUMBERED, KindTracker


@dataclass(slots=True)
class _Part:
    """A section under construction."""

    heading: str
    heading_lines: Sequence[Line]
    level: int
    kind: SectionKind
    page: int
    drafts: list[Draft]


def structure(lines: Sequence[Line]) -> Paper:
    """The paper. ``lines`` are in reading order, merged, and without page furniture."""
    vocabulary = Vocabulary(line.text for line in lines)
    body = body_of(lines)
    announced = find_abstract_heading(lines)
    first = label_lines(lines, body, set())
    headings = find_headings(lines, first, body, 0 if announced is None else announced + 1)
    if announced is None:
        headings = _after_title(headings, lines)
    own = {index for heading in headings for index in range(heading.start, heading.stop)}
    labels = label_lines(lines, body, own)
    if announced is not None:
        headings = without_parts(headings, lines, announced)
    front = find_front(lines, labels, headings, announced, body)
    # The title above the abstract may come after it in the file.
    headings = [heading for heading in headings if not front.has(heading)]
    parts = [_front_matter(lines, labels, front, body)]
    parts += _body_parts(lines, labels, headings, front, body)
    placed = place_notes([part.drafts for part in parts])
    title_lines = [lines[index] for index in front.title]
    abstract_lines = [lines[index] for index in front.abstract]
    title, starts = join_lines([line.text for line in title_lines], vocabulary)
    marks = title_lines[-1].marks if title_lines else ()
    title = title_text(title, marks, _subtitle_at(title_lines, starts))
    abstract = paragraphs([Draft("text", abstract_lines, front.abstract_skip)], vocabulary)
    return Paper(
        title=title,
        abstract=abstract[0].text if abstract else "",
        sections=tuple(
            _section(part, drafts, vocabulary)
            for part, drafts in zip(parts, placed, strict=True)
            if part.heading or drafts
        ),
        title_anchors=anchors(title_lines, starts, len(title)),
        abstract_anchors=abstract[0].anchors if abstract else (),
    )


def _subtitle_at(title: Sequence[Line], starts: Sequence[int]) -> int | None:
    """The position in a title at which its subtitle, in a smaller size, begins."""
    smaller = (
        start for line, start in zip(title, starts, strict=True) if line.size < 0.94 * title[0].size
    )
    return next(smaller, None)


def _after_title(headings: Sequence[Heading], lines: Sequence[Line]) -> list[Heading]:
    """The headings below the title, for a paper without the heading "Abstract"."""
    title = find_title(lines, lines[0].page)
    if not title:
        return list(headings)
    below, page = lines[title[-1]].y1, lines[0].page
    first = next(
        (heading.start for heading in headings if NUMBERED.fullmatch(heading.text)), len(lines)
    )
    # Authors may look like headings. The text begins with the first numbered heading, if any.
    first = first if first < len(lines) and lines[first].page == page else 0
    return [
        heading
        for heading in headings
        if lines[heading.start].page > page
        or (lines[heading.start].y0 >= below and heading.start >= first)
    ]


def _front_matter(
    lines: Sequence[Line], labels: Sequence[ParagraphKind], front: Front, body: Body
) -> _Part:
    drafter = Drafter(body)
    for index in front.matter:
        drafter.add(lines[index], labels[index])
    return _Part("", (), 1, "front_matter", lines[0].page, drafter.drafts)


def _body_parts(
    lines: Sequence[Line],
    labels: Sequence[ParagraphKind],
    headings: Sequence[Heading],
    front: Front,
    body: Body,
) -> Iterator[_Part]:
    elsewhere = {*front.title, *front.abstract, *front.matter}
    own = [index for index in range(len(lines)) if index not in elsewhere]
    part = _Part("", (), 1, "body", lines[own[0]].page if own else 0, [])
    kinds = KindTracker(heading.text for heading in headings if not heading.run_in)
    drafter = Drafter(body)
    at = 0
    for heading in headings:
        if heading.run_in and part.kind in ("references", "checklist"):
            continue
        stop = bisect_left(own, heading.start)
        _fill(drafter, lines, labels, own[at:stop])
        part.drafts = drafter.drafts
        yield part
        part = _begin(heading, lines, part, kinds)
        drafter = Drafter(body, hanging=part.kind == "references")
        at = bisect_left(own, heading.stop)
        if heading.run_in:
            drafter.add(lines[heading.start], labels[heading.start], skip=heading.run_in)
            at += 1
    _fill(drafter, lines, labels, own[at:])
    part.drafts = drafter.drafts
    yield part


def _fill(
    drafter: Drafter, lines: Sequence[Line], labels: Sequence[ParagraphKind], indices: Iterable[int]
) -> None:
    for index in indices:
        drafter.add(lines[index], labels[index])


def _begin(heading: Heading, lines: Sequence[Line], before: _Part, kinds: KindTracker) -> _Part:
    kind = heading.kind or kinds.kind_of(heading.text, before.kind)
    if kind in ("body", "appendix") and heading.level == RUN_IN_LEVEL:
        kind = before.kind
    own = lines[heading.start : max(heading.stop, heading.start + 1)]
    return _Part(heading.text, own, heading.level, kind, own[0].page, [])


def _section(part: _Part, drafts: Sequence[Draft], vocabulary: Vocabulary) -> Section:
    texts = [line.text for line in part.heading_lines]
    heading, starts = join_lines(texts, vocabulary) if len(texts) > 1 else (part.heading, [0])
    return Section(
        heading=heading,
        paragraphs=paragraphs(drafts, vocabulary),
        kind=part.kind,
        level=part.level,
        page=part.page,
        anchors=anchors(part.heading_lines, starts, len(heading)) if texts else (),
    )
