"""A paper that was sent as text -> Paper."""

from __future__ import annotations

import re

from app.paper.model import Paper, Section

_HEADING = re.compile(r"#{1,6} .{1,200}")


def paper_from_text(title: str, abstract: str, body: str) -> Paper:
    """Paragraphs end at blank lines; a paragraph's first line is a heading if it begins with ``#``.

    NULs are dropped: tokenizers and databases stumble over them.
    """
    title, abstract, body = (text.replace("\x00", "") for text in (title, abstract, body))
    sections: list[Section] = []
    heading = ""
    paragraphs: list[str] = []
    for block in re.split(r"\n\s*\n", body.strip()):
        first, _, rest = block.partition("\n")
        if _HEADING.fullmatch(first):
            sections.append(Section(heading, tuple(paragraphs)))
            heading, paragraphs, block = first, [], rest
        if block.strip():
            paragraphs.append(block)
    sections.append(Section(heading, tuple(paragraphs)))
    filled = tuple(section for section in sections if section.heading or section.paragraphs)
    return Paper(title=title, abstract=abstract, sections=filled)


def paper_from_markdown(source: bytes | str) -> Paper:
    raise NotImplementedError
