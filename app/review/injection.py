"""Puts hidden text back into a paper, to measure its influence on the verdict."""

from __future__ import annotations

from dataclasses import replace

from app.paper.model import Finding, Paper, Paragraph, Section


def with_hidden_text(paper: Paper) -> Paper:
    """The paper with each piece of hidden text where a reader without a filter would see it.

    That is after the last paragraph that begins above it on the page, or on an earlier page. Text
    without a page (hidden in LaTeX, say) goes to the end of the first section.
    """
    contents = [list(section.paragraphs) for section in paper.sections] or [[]]
    sections = paper.sections or (Section("", ()),)
    for found in reversed(paper.integrity.hidden_text):
        index, place = _place(found, contents)
        contents[index].insert(place, Paragraph(found.text))
    return replace(
        paper,
        sections=tuple(
            replace(section, paragraphs=tuple(paragraphs))
            for section, paragraphs in zip(sections, contents, strict=True)
        ),
    )


def _place(found: Finding, contents: list[list[Paragraph]]) -> tuple[int, int]:
    """The index of a section, and the position among its paragraphs."""
    if not found.page:
        return 0, len(contents[0])
    place = (0, 0)
    for index, paragraphs in enumerate(contents):
        for number, paragraph in enumerate(paragraphs, 1):
            if paragraph.anchors:
                first = paragraph.anchors[0]
                if (first.page, first.bbox[1]) <= (found.page, found.bbox[1]):
                    place = (index, number)
    return place
