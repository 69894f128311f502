"""A paper as it was read: title, abstract, sections, paragraphs and their positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

BBox = tuple[float, float, float, float]
"""x0, y0, x1, y1 in PDF points, from the upper left corner of the page as it is displayed."""

SectionKind = Literal[
    "front_matter", "body", "acknowledgements", "references", "checklist", "appendix"
]
ParagraphKind = Literal["text", "caption", "table", "figure", "equation", "footnote"]


@dataclass(frozen=True, slots=True)
class Anchor:
    """The position of the characters ``start`` to ``end`` of a paragraph: one line on a page."""

    start: int
    end: int
    page: int
    bbox: BBox


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph. ``anchors`` cover its text in order; there are none in a paper without pages."""

    text: str
    kind: ParagraphKind = "text"
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its paragraphs.

    ``level`` is 1 for a section, 2 for a subsection. ``page`` counts from 1; 0 in a paper without
    pages. ``anchors`` are the heading's positions.
    """

    heading: str
    paragraphs: tuple[Paragraph, ...]
    kind: SectionKind = "body"
    level: int = 1
    page: int = 0
    anchors: tuple[Anchor, ...] = ()

    @property
    def text(self) -> str:
        """The paragraphs, separated by blank lines, without the heading."""
        return "\n\n".join(paragraph.text for paragraph in self.paragraphs)


@dataclass(frozen=True, slots=True)
class Finding:
    """A piece of text that was flagged; ``kind`` says why."""

    page: int
    kind: str
    text: str
    bbox: BBox


@dataclass(frozen=True, slots=True)
class Integrity:
    """What was flagged in a paper, and what was removed from it.

    ``hidden_text`` is invisible on the rendered page, and not part of the paper's text.
    ``visible_instructions`` address a reviewer, and are part of the text. ``blinded`` lists the
    kinds of text that were removed as they reveal authors, venue or decision, and
    ``blinded_characters`` their length. ``dropped`` counts dropped lines (running heads, page
    numbers, ...) by kind. ``unread`` names parts that could not be read: scanned pages ("page 3"),
    included files.
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
    """A paper in reading order. ``sha256`` is that of the file; empty for a paper sent as text."""

    title: str
    abstract: str
    sections: tuple[Section, ...]
    pages: int = 0
    sha256: str = ""
    integrity: Integrity = field(default_factory=Integrity)
    title_anchors: tuple[Anchor, ...] = ()
    abstract_anchors: tuple[Anchor, ...] = ()
