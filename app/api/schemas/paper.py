"""A paper as the API shows it."""

from __future__ import annotations

from typing import Literal

from app.api.schemas.base import Resource
from app.paper.model import BBox, ParagraphKind, SectionKind


class Finding(Resource):
    """A piece of a page's text that is not what it seems."""

    page: int
    kind: str
    text: str
    bbox: BBox


class PaperIntegrity(Resource):
    hidden_text: list[Finding]
    """What a reader of the rendered page can't see. It is not part of the paper's text."""
    visible_instructions: list[Finding]
    """What speaks to a reviewing system, in plain sight. It stays part of the paper's text."""
    blinded: list[str]
    """Kinds of what was dropped because it tells who wrote the paper or what became of it."""
    blinded_characters: int = 0
    """How many characters of the paper's text that was."""
    dropped: dict[str, int]
    """Lines that are no text, by kind: running heads, page and line numbers, margin notes, ..."""
    repaired: bool
    """Whether the PDF was damaged: text may be missing."""
    ocr_pages: list[int]
    """Pages without text of their own, read by optical character recognition."""
    unread: list[str] = []
    """What the paper has and this text has not: scanned pages ("page 3"), files it includes."""


class LineBox(Resource):
    """Where the characters `start` to `end` of the section's text stand."""

    start: int
    end: int
    page: int
    bbox: BBox


class ParagraphInfo(Resource):
    """The characters `start` to `end` of the section's text."""

    kind: ParagraphKind
    start: int
    end: int
    lines: list[LineBox]


class PaperSection(Resource):
    heading: str
    level: int
    """1 for a section, 2 for its subsections, 4 for a bold beginning of a paragraph."""
    page: int
    """Where it begins, from 1; 0 for a paper that has no pages."""
    kind: SectionKind
    text: str
    tokens: int | None
    """Of heading and text, by the served model's tokenizer; null while no model is ready."""
    paragraphs: list[ParagraphInfo]


class PaperResource(Resource):
    """A paper as it is read: what a review would be made of."""

    object: Literal["paper"] = "paper"
    title: str
    abstract: str
    sections: list[PaperSection]
    pages: int
    sha256: str
    integrity: PaperIntegrity
