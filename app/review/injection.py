"""A paper as a system would have read it that does not look for hidden text."""

from __future__ import annotations

from dataclasses import replace

from app.paper.model import Finding, Paper, Paragraph, Section


def with_hidden_text(paper: Paper) -> Paper:
    """The paper with each piece of hidden text put back where it stands.

    That is after the last paragraph that begins above it or on an earlier page. Text hidden on no
    page (in LaTeX, say) goes to the end of the first section.
    """
    drafts = [list(section.paragraphs) for section in paper.sections] or [[]]
    sections = paper.sections or (Section("", ()),)
    for found in reversed(paper.integrity.hidden_text):
        index, place = _place(found, drafts)
        drafts[index].insert(place, Paragraph(found.text))
    return replace(
        paper,
        sections=tuple(
            replace(section, paragraphs=tuple(paragraphs))
            for section, paragraphs in zip(sections, drafts, strict=True)
        ),
    )


def _place(found: Finding, drafts: list[list[Paragraph]]) -> tuple[int, int]:
    """Section and place within it."""
    place = (0, len(drafts[0]) if not found.page else 0)
    if not found.page:
        return place
    for index, paragraphs in enumerate(drafts):
        for number, paragraph in enumerate(paragraphs, 1):
            if paragraph.anchors:
                first = paragraph.anchors[0]
                if (first.page, first.bbox[1]) <= (found.page, found.bbox[1]):
                    place = (index, number)
    return place
