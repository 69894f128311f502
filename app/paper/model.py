"""What the service knows of a paper once it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

BBox = tuple[float, float, float, float]
"""x0, y0, x1, y1 in PDF points from the upper left corner of the page as it is shown."""

SectionKind = Literal[
    "front_matter", "body", "acknowledgements", "references", "checklist", "appendix"
]
ParagraphKind = Literal["text", "caption", "table", "figure", "equation", "footnote"]


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where the characters ``start`` to ``end`` of a paragraph's text stand: one line of a page."""

    start: int
    end: int
    page: int
    bbox: BBox


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A run of text. ``anchors`` cover it from first to last; none where there are no pages."""

    text: str
    kind: ParagraphKind = "text"
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it.

    ``level`` is 1 for a section, 2 for its subsections. ``page`` counts from 1; 0 where there are
    no pages. ``anchors`` place the heading.
    """

    heading: str
    paragraphs: tuple[Paragraph, ...]
    kind: SectionKind = "body"
    level: int = 1
    page: int = 0
    anchors: tuple[Anchor, ...] = ()

    @property
    def text(self) -> str:
        """The paragraphs, a blank line between them; without the heading."""
        return "\n\n".join(paragraph.text for paragraph in self.paragraphs)


@dataclass(frozen=True, slots=True)
class Finding:
    """Text on a page that the reader of a review should know of; ``kind`` says why."""

    page: int
    kind: str
    text: str
    bbox: BBox


@dataclass(frozen=True, slots=True)
class Integrity:
    """What is not as it seems, and what was left out.

    ``hidden_text`` can't be seen on the rendered page and is not part of the paper's text.
    ``visible_instructions`` speak to a reviewer and are. ``blinded`` are kinds of what told who
    wrote the paper or what became of it, ``blinded_characters`` how much of it;
    ``dropped`` counts the lines of page furniture by kind. ``unread`` names what the paper has and
    this text has not: scanned pages ("page 3"), files that its source includes.
    """

    hidden_text: tuple[Finding, ...] = ()
    visible_instructions: tuple[Finding, ...] = ()
    blinded: tuple[str, ...] = ()
    blinded_characters: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    repaired: bool = False
    ocr_pages: tuple[int, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper in reading order. ``sha256`` is that of the file; empty where text was sent."""

    title: str
    abstract: str
    sections: tuple[Section, ...]
    pages: int = 0
    sha256: str = ""
    integrity: Integrity = field(default_factory=Integrity)
    title_anchors: tuple[Anchor, ...] = ()
    abstract_anchors: tuple[Anchor, ...] = ()
