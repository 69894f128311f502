"""Drops what tells who wrote a paper or what became of it; the same for PDFs and for texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from app.paper.edits import Cut, edited
from app.paper.identity import ADDRESS, AUTHOR_NOTE, BANNER, EMAIL, FUNDING, ORCID, PERSON, RIGHTS
from app.paper.model import Paper, Paragraph, Section
from app.paper.numbering import without_line_numbers

_DROPPED_SECTIONS = {
    "front_matter": "authors",
    "acknowledgements": "acknowledgements",
    "checklist": "checklist",
}

_CODE_LINK = re.compile(
    r"(https?://\s?)?(www\.)?\b(github\.com|gitlab\.com|bitbucket\.org|huggingface\.co|"
    r"anonymous\.4open\.science|zenodo\.org|[\w-]{1,63}\.github\.io|sites\.google\.com|"
    r"drive\.google\.com|figshare\.com|osf\.io)(/\s?[^\s)\]},;]*)?",
    re.IGNORECASE,
)
LINK = "[link]"
"""What stands in the text where a link did that may name people."""

_RELEASE = re.compile(
    r"\b(code|codes|codebase|source|implementations?|datasets?|data|models?|weights|benchmark|"
    r"toolbox|library|software|project page|project website|demo|resources|checkpoints|videos?)\b"
    r"[^.]{0,120}\b(available|accessible|released?|found|open-?sourced?|visit|see|at:?|provided?)\b"
    r"[^.]{0,40}(https?:|www\.|github|gitlab|hugging ?face|\.io\b|upon (acceptance|publication)|"
    r"after (acceptance|publication)|here\b|this (link|url)|publicly)|"
    r"\bwill (be (made )?(publicly )?(available|released?|open-?sourced?)|(publicly )?release|"
    r"open-?source)\b|"
    r"\b(code|project page|website|homepage|demo)( (is )?(available )?(at|here))?: ",
    re.IGNORECASE,
)
"""Camera-ready papers link to their code; submissions promise it or hide it."""
_LONGEST_NOTE = 600
"""Characters of a paragraph that may be dropped whole for a phrase in it."""
_ENDS_LIKE_TEXT = re.compile(r"[.:;,!?]$")
_LONGEST_ADDRESS = 300
_SENTENCE = re.compile(r"[^.!?]*(?:[.!?](?!\s+[A-Z])[^.!?]*)*[.!?]?\s*")


def blind_paper(paper: Paper) -> Paper:
    """The paper without its authors, venue, status, thanks and checklist.

    ``integrity.blinded`` lists the kinds of what was dropped.
    """
    blinding = _Blinding()
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
    integrity = replace(paper.integrity, blinded=tuple(sorted(blinding.kinds)))
    return replace(
        paper,
        title=blinding.text(paper.title),
        abstract=blinding.text(paper.abstract),
        sections=tuple(sections),
        integrity=integrity,
    )


class _Blinding:
    """Remembers the kinds of what it dropped."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()

    def add(self, section: Section, kept: list[Section]) -> None:
        """Add what is left of a section to the ones before it."""
        dropped = _DROPPED_SECTIONS.get(section.kind)
        if dropped:
            if section.paragraphs:
                self.kinds.add(dropped)
                self._name_front_matter(section.text)
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
        kept.append(
            replace(
                section,
                heading=self.text(section.heading),
                paragraphs=self._paragraphs(section.paragraphs),
            )
        )

    def _name_front_matter(self, text: str) -> None:
        for kind, pattern in _FRONT_KINDS:
            if pattern.search(text):
                self.kinds.add(kind)

    def _is_author(self, section: Section) -> bool:
        """Whether a heading of the first page is an author's name that its layout tore away."""
        return (
            section.page <= 1
            and PERSON.fullmatch(section.heading) is not None
            and bool(section.paragraphs)
            and _is_address(section.paragraphs[0].text)
        )

    def _paragraphs(self, paragraphs: Sequence[Paragraph]) -> tuple[Paragraph, ...]:
        kept = (self._paragraph(paragraph) for paragraph in paragraphs)
        return tuple(paragraph for paragraph in kept if paragraph is not None)

    def _paragraph(self, paragraph: Paragraph) -> Paragraph | None:
        kind = _kind_of_note(paragraph)
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
        for kind, pattern, instead, hints in _CUTS:
            if any(hint in text for hint in hints):
                found = [(match.start(), match.end(), instead) for match in pattern.finditer(text)]
                cuts += found
                self.kinds.update({kind} if found else ())
        for kind, pattern, hints in _SENTENCES:
            if any(hint in text for hint in hints) and pattern.search(text):
                cuts += [
                    (match.start(), match.end(), "")
                    for match in _SENTENCE.finditer(text)
                    if pattern.search(match[0])
                ]
                self.kinds.add(kind)
        return cuts


_FRONT_KINDS = (
    ("emails", EMAIL),
    ("venue_banner", BANNER),
    ("author_notes", AUTHOR_NOTE),
    ("affiliations", ADDRESS),
)
_CUTS: tuple[tuple[str, re.Pattern[str], str, tuple[str, ...]], ...] = (
    ("emails", EMAIL, "", ("@",)),
    ("code_links", _CODE_LINK, LINK, ("http", ".com", ".io", ".org", ".co/", ".science")),
    ("orcid", ORCID, "", ("orcid", "0000-")),
)


_SENTENCES: tuple[tuple[str, re.Pattern[str], tuple[str, ...]], ...] = (
    ("funding", FUNDING, ("upport", "und", "ponsor", "grant", "contract")),
    (
        "code_links",
        _RELEASE,
        ("vailable", "elease", "ccessible", "ource", "http", "www.", "github", "age: ", "ode: "),
    ),
)
"""Kind, pattern, and what is in every match: looked for first, because it is quicker."""


def _kind_of_note(paragraph: Paragraph) -> str | None:
    """What a short paragraph is that says nothing of the paper itself."""
    text = paragraph.text
    if len(text) > _LONGEST_NOTE:
        return None
    bare = text.lstrip("∗*†‡§¶0123456789 ")
    note = paragraph.kind == "footnote"
    if BANNER.match(text) or BANNER.match(bare) or RIGHTS.search(text):
        return "venue_banner"
    if note and BANNER.search(text):
        return "venue_banner"
    if note and AUTHOR_NOTE.search(bare):
        return "author_notes"
    if note and FUNDING.search(text):
        return "funding"
    if _is_address(text) and _page(paragraph) <= 1:
        return "affiliations"
    return None


def _page(paragraph: Paragraph) -> int:
    return paragraph.anchors[0].page if paragraph.anchors else 0


def _is_address(text: str) -> bool:
    """An e-mail or an institution, and no sentence."""
    return (
        len(text) <= _LONGEST_ADDRESS
        and not _ENDS_LIKE_TEXT.search(text)
        and (EMAIL.search(text) is not None or ADDRESS.search(text) is not None)
    )
