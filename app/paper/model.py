"""What the service knows of a paper once it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SectionKind = Literal["body", "references", "appendix", "acknowledgements"]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it. ``page`` counts from 1; 0 where there are no pages."""

    heading: str
    paragraphs: tuple[str, ...]
    kind: SectionKind = "body"
    page: int = 0


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper in reading order. ``sha256`` is that of the PDF; empty where text was sent."""

    title: str
    abstract: str
    sections: tuple[Section, ...]
    pages: int = 0
    sha256: str = ""
