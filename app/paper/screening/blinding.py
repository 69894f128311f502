"""Drops what tells who wrote a paper or what became of it; the same for PDFs and for texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from app.paper.model import Paper, Paragraph, Section
from app.paper.screening.authors import Authors
from app.paper.screening.blinding_rules import (
    CUTS,
    FRONT_KINDS,
    SENTENCES,
    is_address,
    is_signature,
    is_thanks,
    kind_of_note,
)
from app.paper.screening.edits import Cut, edited
from app.paper.screening.identity import PERSON
from app.paper.screening.numbering import without_line_numbers
from app.paper.sentences import sentences

_DROPPED_SECTIONS = {
    "front_matter": "authors",
    "acknowledgements": "acknowledgements",
    "checklist": "checklist",
}
MOST_FRONT = 0.25
"""Largest share of a paper's text that goes as front matter; of more, running text stays."""
_PROSE = 400
"""Characters of a paragraph of running text."""


def blind_paper(paper: Paper) -> Paper:
    """The paper without its authors, venue, status, thanks and checklist.

    ``integrity.blinded`` lists the kinds of what was dropped.
    """
    blinding = _Blinding(paper)
    if not paper.pages:
        # Of a PDF they went by where they stood.
        paper, numbered = without_line_numbers(paper)
        blinding.kinds.update({"line_numbers"} if numbered else ())
    for dropped, kind in (("line_number", "line_numbers"), ("venue_banner", "venue_banner")):
        if dropped in paper.integrity.dropped:
            blinding.kinds.add(kind)
    sections: list[Section] = []
    for section in paper.sections:
        blinding.add(section, sections)
    blind = replace(
        paper,
        title=blinding.text(paper.title),
        abstract=blinding.text(paper.abstract),
        sections=tuple(sections),
    )
    integrity = replace(
        paper.integrity,
        blinded=tuple(sorted(blinding.kinds)),
        blinded_characters=_length(paper) - _length(blind),
    )
    return replace(blind, integrity=integrity)


def _length(paper: Paper) -> int:
    return len(paper.title) + len(paper.abstract) + sum(len(s.text) for s in paper.sections)


class _Blinding:
    """Remembers the kinds of what it dropped."""

    def __init__(self, paper: Paper) -> None:
        self.kinds: set[str] = set()
        front = [section for section in paper.sections if section.kind == "front_matter"]
        size = sum(len(section.text) for section in front)
        self._keeps_prose = size > max(_PROSE, MOST_FRONT * _length(paper))
        self._authors = Authors(paper, front)

    def add(self, section: Section, kept: list[Section]) -> None:
        """Add what is left of a section to the ones before it."""
        dropped = _DROPPED_SECTIONS.get(section.kind)
        if dropped:
            if section.paragraphs:
                self.kinds.add(dropped)
                self._name_front_matter(section.text)
            if section.kind == "front_matter" and self._keeps_prose:
                rest = self._paragraphs(p for p in section.paragraphs if len(p.text) >= _PROSE)
                kept += [replace(section, kind="body", paragraphs=rest)] if rest else []
            return
        if section.kind == "references":
            kept.append(section)
            return
        if self._is_author(section):
            self.kinds.add("authors")
            if kept:
                rest = self._paragraphs(section.paragraphs[1:])
                kept[-1] = replace(kept[-1], paragraphs=(*kept[-1].paragraphs, *rest))
            return
        left = replace(
            section,
            heading=self.text(section.heading),
            paragraphs=self._paragraphs(section.paragraphs),
        )
        if left.paragraphs or section.heading:
            kept.append(left)

    def _name_front_matter(self, text: str) -> None:
        for kind, pattern in FRONT_KINDS:
            if pattern.search(text):
                self.kinds.add(kind)

    def _is_author(self, section: Section) -> bool:
        """Whether a heading of the first page is an author's name that its layout tore away."""
        return (
            section.page <= 1
            and PERSON.fullmatch(section.heading) is not None
            and bool(section.paragraphs)
            and is_address(section.paragraphs[0].text)
        )

    def _paragraphs(self, paragraphs: Iterable[Paragraph]) -> tuple[Paragraph, ...]:
        kept = (self._paragraph(paragraph) for paragraph in self._unsigned(tuple(paragraphs)))
        return tuple(paragraph for paragraph in kept if paragraph is not None)

    def _unsigned(self, paragraphs: Sequence[Paragraph]) -> Iterator[Paragraph]:
        """All but a name with its address, as letters are signed."""
        signed: set[int] = set()
        for at in range(len(paragraphs) - 1):
            pair = paragraphs[at : at + 2]
            # Footnotes that cite have names and addresses too, of others.
            if all(p.kind != "footnote" for p in pair) and is_signature(*(p.text for p in pair)):
                signed |= {at, at + 1}
                self.kinds.add("authors")
        return (paragraph for at, paragraph in enumerate(paragraphs) if at not in signed)

    def _paragraph(self, paragraph: Paragraph) -> Paragraph | None:
        kind = kind_of_note(paragraph)
        if kind:
            self.kinds.add(kind)
            return None
        shorter = edited(paragraph, self._cuts(paragraph.text))
        return shorter if shorter.text.strip() else None

    def text(self, text: str) -> str:
        """A text without addresses, links and thanks."""
        return edited(Paragraph(text), self._cuts(text)).text.strip()

    def _cuts(self, text: str) -> list[Cut]:
        cuts: list[Cut] = []
        for kind, pattern, instead, hints in CUTS:
            if any(hint in text for hint in hints):
                self._mark(kind, cuts, [(*m.span(), instead) for m in pattern.finditer(text)])
        for kind, cut in self._authors.cuts(text):
            self._mark(kind, cuts, [cut])
        if "hank" in text or "grate" in text or "knowledge" in text or "debted" in text:
            self._mark(
                "acknowledgements",
                cuts,
                [(start, end, "") for start, end in sentences(text) if is_thanks(text[start:end])],
            )
        for kind, pattern, hints in SENTENCES:
            if any(hint in text for hint in hints) and pattern.search(text):
                told = [(start, end, "") for start, end in sentences(text)
                        if pattern.search(text, start, end)]  # fmt: skip
                self._mark(kind, cuts, told)
        return cuts

    def _mark(self, kind: str, cuts: list[Cut], found: list[Cut]) -> None:
        if found:
            cuts += found
            self.kinds.add(kind)
