"""A paper in the API."""

from __future__ import annotations

from typing import Literal

from app.api.schemas.base import Resource
from app.paper.model import BBox, ParagraphKind, SectionKind


class Finding(Resource):
    """A piece of text that was flagged; `kind` says why."""

    page: int
    kind: str
    text: str
    bbox: BBox


class PaperIntegrity(Resource):
    hidden_text: list[Finding]
    """Text that is invisible on the rendered page. It is not part of the paper's text."""
    visible_instructions: list[Finding]
    """Visible text that addresses a reviewing system. It stays part of the paper's text."""
    blinded: list[str]
    """Kinds of text that were removed because they reveal authors, venue or decision."""
    blinded_characters: int = 0
    """Number of characters that blinding removed."""
    dropped: dict[str, int]
    """Number of dropped lines by kind: running heads, page and line numbers, margin notes, ..."""
    repaired: bool
    """Whether the PDF was damaged and had to be repaired; text may be missing."""
    ocr_pages: list[int]
    """Scanned pages that were read by optical character recognition."""
    unread: list[str] = []
    """Parts of the paper that could not be read: scanned pages ("page 3"), included files."""


class LineBox(Resource):
    """The position of the characters `start` to `end` of a text: one line of a page."""

    start: int
    end: int
    page: int
    bbox: BBox


class ParagraphInfo(Resource):
    """A paragraph: the characters `start` to `end` of the section's text."""

    kind: ParagraphKind
    start: int
    end: int
    lines: list[LineBox]


class PaperSection(Resource):
    heading: str
    level: int
    """1 for a section, 2 for a subsection, 4 for a heading at the start of a paragraph."""
    page: int
    """Page on which it begins, from 1; 0 for a paper without pages."""
    kind: SectionKind
    heading_lines: list[LineBox] = []
    text: str
    tokens: int | None
    """Number of tokens of heading and text; null while no model is ready."""
    paragraphs: list[ParagraphInfo]


class PaperResource(Resource):
    """A paper as the service reads it."""

    object: Literal["paper"] = "paper"
    title: str
    title_lines: list[LineBox] = []
    abstract: str
    abstract_lines: list[LineBox] = []
    sections: list[PaperSection]
    pages: int
    sha256: str
    integrity: PaperIntegrity
