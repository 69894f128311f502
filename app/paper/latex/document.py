"""Builds a document while LaTeX is read: title, authors, abstract and sections."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.paper.latex.flow import Flow
from app.paper.model import Paragraph, Section, SectionKind
from app.paper.section_names import section_kind


@dataclass(slots=True)
class _Part:
    heading: str
    level: int
    kind: SectionKind
    blocks: list[Paragraph] = field(default_factory=list)


class Document:
    """``flow`` receives the running text of the current section."""

    def __init__(self) -> None:
        self.title = ""
        self.flow = Flow()
        self._abstract: list[Paragraph] = []
        self._front: list[Paragraph] = []
        self._parts = [_Part("", 1, "body")]

    def begin_section(self, heading: str, level: int, kind: SectionKind | None = None) -> None:
        """End the current section and begin another. Without ``kind``, it follows from the heading
        and the section before.
        """
        self._end_part()
        before = self._parts[-1]
        if before.kind == kind == "references" and not before.blocks:
            # The environment of the bibliography follows a heading for it.
            return
        kind = kind or section_kind(heading, before.kind)
        if level > before.level and kind == "body":
            kind = before.kind
        self._parts.append(_Part(heading, level, kind))

    def end_section(self) -> None:
        """End a bibliography or acknowledgements: what follows has the kind of the text before."""
        self._end_part()
        before = self._parts[-2].kind if len(self._parts) > 1 else "body"
        self._parts.append(_Part("", 1, before))

    def begin_appendix(self) -> None:
        self._end_part()
        self._parts.append(_Part("", 1, "appendix"))

    def add_abstract(self, flow: Flow) -> None:
        """Add to the abstract. Text before it, without a heading, is front matter."""
        self._end_part()
        first = self._parts[0]
        if len(self._parts) == 1:
            self._front += first.blocks
            first.blocks = []
        for block in flow.take():
            (self.flow.blocks if block.kind == "footnote" else self._abstract).append(block)

    def add_centred(self, flow: Flow) -> None:
        """Add a centred line: before the first section, it is the title or has authors."""
        blocks = flow.take()
        if len(self._parts) > 1 or self.flow.is_begun:
            self.flow.blocks += blocks
        elif self.title:
            self._front += blocks
        else:
            self.title = " ".join(block.text for block in blocks)

    def add_front(self, flow: Flow) -> None:
        self._front += flow.take()

    def set_title(self, flow: Flow) -> None:
        """Set the title. Its footnotes are front matter."""
        blocks = flow.take()
        title = " ".join(block.text for block in blocks if block.kind != "footnote")
        self.title = " ".join(title.split()) or self.title
        self._front += [block for block in blocks if block.kind == "footnote"]

    def finish(self) -> tuple[str, tuple[Section, ...]]:
        """End the document; return the abstract and the sections."""
        self._end_part()
        abstract = "\n\n".join(block.text for block in self._abstract)
        sections = [Section("", tuple(self._front), "front_matter")] if self._front else []
        for part in self._parts:
            if not abstract and part.heading.strip(" .:").lower() == "abstract":
                abstract = "\n\n".join(block.text for block in part.blocks)
            elif part.heading or part.blocks:
                blocks = tuple(part.blocks)
                sections.append(Section(part.heading, blocks, part.kind, part.level))
        return abstract, tuple(sections)

    def _end_part(self) -> None:
        self._parts[-1].blocks += self.flow.take()
