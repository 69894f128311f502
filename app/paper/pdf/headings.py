"""Finds headings with their levels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.paper.model import ParagraphKind, SectionKind
from app.paper.pdf.labels import Body
from app.paper.pdf.lines import Line
from app.paper.pdf.section_numbers import Count
from app.paper.section_names import NAMED, NUMBERED, STATEMENTS, heading_name, section_kind

_LONGEST_NAME = 100
_LABEL_TIMES = 3
_FEWEST_REFERENCES = 8
_ENTRY = re.compile(r"(?:\[(\d{1,3})\]|(\d{1,3})\.)\s+\S")
_YEAR = re.compile(r"\b(19|20)\d\d\b")
_LARGER = 0.9
"""Points above the body's size from which a line is a heading as a whole, without text after it."""
_FEWEST_NUMBERED = 3
"""Number of numbered sections from which a paper counts as one with numbered sections."""
RUN_IN_LEVEL = 4
"""Level of a run-in heading, the bold beginning of a paragraph (LaTeX's ``\\paragraph``)."""

_CITATION = re.compile(
    r"\b(19|20)\d\d\b|\be-?mail\b|\bet al\b|,\s[A-Z]\.|[A-Z]\.,|[a-z] [A-Z]{1,3},|"
    r"^[A-Z][\w'’-]+ (?![IVX]+$)[A-Z]{1,3}[,:]?$"
)
_SENTENCE = re.compile(r"[,;]$|[a-z]\.$|\.\s+[a-z]")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading in the lines ``start`` to ``stop``, or a run-in heading: the first ``run_in``
    characters of the line ``start``. ``kind`` is set if it follows from the text below and not from
    the heading's name.
    """

    start: int
    stop: int
    text: str
    level: int
    run_in: int = 0
    kind: SectionKind | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    font: str
    size: float
    capitals: bool


def find_headings(
    lines: Sequence[Line], labels: Sequence[ParagraphKind], body: Body, start: int
) -> list[Heading]:
    """The headings from the line ``start`` on, in order.

    First come lines with section numbers in sequence, then lines with a usual section name, then
    lines that look like these. In a paper with numbered sections, a line with a usual name must
    also look like a numbered heading, or belong to the back matter.
    """
    finder = _Finder(lines, labels, body, start)
    levels = finder.by_number()
    looks = {
        finder.look(index): level for index, level in levels.items() if finder.stands_out(index)
    }
    numbered = sum(level == 1 for level in levels.values()) >= _FEWEST_NUMBERED
    for index in finder.by_name():
        if not numbered or finder.look(index) in looks or finder.is_back_matter(index):
            levels.setdefault(index, 1)
            if not numbered:
                looks.setdefault(finder.look(index), 1)
    for index in range(start, len(lines)):
        if index not in levels and finder.look(index) in looks and finder.stands_alone(index):
            levels[index] = looks[finder.look(index)]
    headings = _without_labels(list(finder.complete(levels)))
    if not any(section_kind(heading.text, "body") == "references" for heading in headings):
        headings = sorted([*headings, *_untitled_references(lines, start)], key=_position)
    return headings


def _without_labels(headings: Sequence[Heading]) -> list[Heading]:
    """Drop run-in headings that repeat, as these are labels ("Query:", "Blocked:")."""
    times = Counter(heading.text for heading in headings if heading.run_in)
    return [heading for heading in headings if times[heading.text] < _LABEL_TIMES]


def _position(heading: Heading) -> int:
    return heading.start


def _untitled_references(lines: Sequence[Line], start: int) -> list[Heading]:
    """The beginning of numbered references without a heading, as in some journals."""
    first, last, dated = 0, 0, 0
    for index in range(start, len(lines)):
        dated += last > 0 and _YEAR.search(lines[index].text) is not None
        entry = _ENTRY.match(lines[index].text)
        if not entry:
            continue
        number = int(entry[1] or entry[2])
        if number == 1:
            first, last, dated = index, 1, 0
        elif last and number == last + 1:
            last = number
            if last == _FEWEST_REFERENCES and 2 * dated >= last:
                return [Heading(first, first, "", 1, kind="references")]
    return []


class _Finder:
    def __init__(
        self, lines: Sequence[Line], labels: Sequence[ParagraphKind], body: Body, start: int
    ) -> None:
        self._lines = lines
        self._labels = labels
        self._body = body
        self._start = start

    def look(self, index: int) -> _Look:
        line = self._lines[index]
        return _Look(line.font, round(line.size * 2) / 2, line.text.isupper())

    def stands_out(self, index: int) -> bool:
        line = self._lines[index]
        other_face = line.font != self._body.font and line.size >= self._body.size - 0.2
        return other_face or self._is_prominent(line)

    def _is_prominent(self, line: Line) -> bool:
        return (
            line.size > self._body.size + 0.4
            or (line.bold and line.lead >= len(line.text) - 1)
            or line.text.isupper()
        )

    def stands_alone(self, index: int) -> bool:
        """Whether the line looks like a heading, and not like a sentence or a part of one."""
        line = self._lines[index]
        text = line.text
        return (
            self._is_prominent(line)
            and self._labels[index] in ("text", "figure")
            and 3 <= len(text) <= _LONGEST_NAME
            and text[0].isupper()
            and not _SENTENCE.search(text)
            and ". " not in text
            and line.cells == 1
            and line.uniform
            and _is_worded(text)
            and self._begins_block(index)
            and not STATEMENTS.match(text)
        )

    def _begins_block(self, index: int) -> bool:
        if index == 0:
            return True
        line, above = self._lines[index], self._lines[index - 1]
        return (
            (line.page, line.block) != (above.page, above.block)
            or line.y0 < above.y0
            or line.y0 - above.y1 > 0.3 * line.size
        )

    def _is_single(self, index: int) -> bool:
        last = index + 1 == len(self._lines)
        return self._begins_block(index) and (last or self._begins_block(index + 1))

    def by_number(self) -> dict[int, int]:
        """The levels of lines whose section numbers are in sequence, by line."""
        count = Count()
        found: dict[int, int] = {}
        lettered: list[int] = []
        for index in range(self._start, len(self._lines)):
            line = self._lines[index]
            if line.cells > 2 or self._labels[index] in ("caption", "footnote"):
                continue
            if self._is_named(index) and self.is_back_matter(index):
                count.end_text(is_list=self._begins_references(index))
            level = self._numbered_level(index, count)
            if level is None:
                continue
            found[index] = level
            if count.style == "letter":
                lettered.append(index)
            elif lettered:
                # Numbered sections follow, so the lettered ones were not appendices.
                for other in lettered:
                    del found[other]
                lettered.clear()
        return found

    def _numbered_level(self, index: int, count: Count) -> int | None:
        run_in = self._run_in(index)
        numbered = NUMBERED.fullmatch(self._own_text(index))
        if not numbered or not _is_name(numbered["name"], ends=run_in > 0):
            return None
        # Lists have numbers as well, so a number without a dot is not enough by itself.
        if not (
            self.stands_out(index)
            or run_in
            or ("." in numbered["number"] and self._is_single(index))
        ):
            return None
        return count.take(numbered["number"])

    def _own_text(self, index: int) -> str:
        """The line's text; if it begins with a run-in heading, only that."""
        text = self._lines[index].text
        return text[: self._run_in(index)].strip() or text

    def _run_in(self, index: int) -> int:
        """The length of a run-in heading at the beginning of the line; 0 if there is none."""
        line = self._lines[index]
        if line.size > self._body.size + _LARGER or self._is_single(index):
            # The whole line is the heading; a word of it may be in another typeface.
            return 0
        if 0 < line.lead < len(line.text) - 1:
            return line.lead
        if not line.opening or line.opens_in == self._body.font:
            return 0
        numbered = NUMBERED.fullmatch(line.text[: line.opening].strip())
        return line.opening if numbered and numbered["name"][-1] in ".:" else 0

    def by_name(self) -> Iterator[int]:
        return filter(self._is_named, range(self._start, len(self._lines)))

    def _is_named(self, index: int) -> bool:
        text = self._lines[index].text
        return (
            len(text) <= _LONGEST_NAME
            and self._labels[index] not in ("caption", "footnote")
            and NAMED.fullmatch(heading_name(text)) is not None
            and text[0].isalnum()
            and not text[0].islower()
            and (self.stands_out(index) or self._is_plain_heading(index))
        )

    def _is_plain_heading(self, index: int) -> bool:
        """Whether a line in the body's typeface is a heading, and not a paragraph's last line."""
        if not self._is_single(index) or self._lines[index].text.endswith("."):
            return False
        return index == 0 or not self._runs_on(index - 1)

    def _runs_on(self, index: int) -> bool:
        line, below = self._lines[index], self._lines[index + 1]
        return (
            line.page == below.page
            and 0 <= below.y0 - line.y0 < 1.5 * self._body.leading
            and line.text[-1] not in ".!?:"
        )

    def is_back_matter(self, index: int) -> bool:
        return section_kind(self._lines[index].text, "body") != "body"

    def _begins_references(self, index: int) -> bool:
        return section_kind(self._lines[index].text, "body") == "references"

    def complete(self, levels: dict[int, int]) -> Iterator[Heading]:
        """The headings with all of their lines, and the run-in headings between them."""
        index = self._start
        while index < len(self._lines):
            line = self._lines[index]
            level = levels.get(index)
            run_in = self._run_in(index) if level else line.lead * self._is_run_in(index)
            if level and not run_in:
                stop = self._end(index, levels)
                text = " ".join(line.text for line in self._lines[index:stop])
                yield Heading(index, stop, text, level)
                index = stop
                continue
            if run_in:
                name = line.text[:run_in].strip().rstrip(" .:–—")
                yield Heading(index, index, name, level or RUN_IN_LEVEL, run_in)
            index += 1

    def _end(self, start: int, levels: dict[int, int]) -> int:
        stop = start + 1
        numbered = NUMBERED.fullmatch(self._lines[start].text) is not None
        while stop < min(len(self._lines), start + 4):
            line, above = self._lines[stop], self._lines[stop - 1]
            # A line with a usual name may be the second line of a numbered heading.
            close = numbered and line.y0 - above.y1 < 0.4 * line.size
            if (stop in levels and not close) or not (
                self.look(stop) == self.look(start)
                and self.stands_out(stop)
                and line.page == above.page
                and -0.2 * line.size < line.y0 - above.y1 < 0.8 * line.size
                and not NUMBERED.fullmatch(line.text)
                and line.lead == len(line.text) * above.bold
            ):
                break
            stop += 1
        return stop

    def _is_run_in(self, index: int) -> bool:
        line = self._lines[index]
        lead = line.text[: line.lead].rstrip()
        rest = line.text[line.lead :].lstrip()
        if not 3 < len(lead) <= 80 or not rest or line.cells > 1 or self._labels[index] != "text":
            return False
        if not lead[0].isupper() or STATEMENTS.match(lead) or not _is_worded(lead):
            return False
        if lead[-1] in ".:?!" or rest[0] in "–—:":
            return self._begins_paragraph(index)
        return " " in lead and rest[0].isupper() and self._begins_block(index)

    def _begins_paragraph(self, index: int) -> bool:
        if self._begins_block(index):
            return True
        return self._lines[index - 1].text.endswith((".", "!", "?", ":", "”", ")"))


def _is_name(name: str, *, ends: bool) -> bool:
    """Whether the text after a number may be a heading's name; ``ends`` if more text follows."""
    return (
        len(name) <= _LONGEST_NAME
        and (
            name[0].isupper()
            or (name[0].isdigit() and name[1:2].isalpha())
            or not name[0].isascii()
        )
        and not _SENTENCE.search(name.rstrip(".:") if ends else name)
        and not _CITATION.search(name)
        and _is_worded(name)
    )


def _is_worded(text: str) -> bool:
    """Whether most of the text is words, unlike a formula."""
    if 2 * sum("\u3040" <= char <= "\u9fff" for char in text) >= len(text):
        return True
    words = [word for word in text.split() if sum(map(str.isalpha, word)) >= 3]
    return 2 * sum(map(len, words)) >= len(text)
