"""Which lines are headings, at what level, and what kind of section they begin."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.paper.labels import Body
from app.paper.lines import Line
from app.paper.model import ParagraphKind, SectionKind

_LONGEST_NAME = 100
_LABEL_TIMES = 3
_FEWEST_REFERENCES = 8
_ENTRY = re.compile(r"(?:\[(\d{1,3})\]|(\d{1,3})\.)\s+\S")
_YEAR = re.compile(r"\b(19|20)\d\d\b")
_FEWEST_NUMBERED = 3
"""Numbered sections that make a paper one that numbers its sections."""
RUN_IN_LEVEL = 4
"""Level of a bold beginning of a paragraph, as LaTeX's ``\\paragraph`` sets it."""

_NUMBERED = re.compile(
    r"(?i:section |appendix )?"
    r"(?P<number>\d{1,2}(?:\.\d{1,2}){0,3}|[IVX]{1,5}|[A-Z](?:\.\d{1,2}){0,3})[.:)]?"
    r"\s+(?P<name>\S.*)"
)
_LETTERED = re.compile(r"[A-Z](\.\d{1,2})*[.:)]?\s")
_METHODS = re.compile(r"(online |materials? and )?methods")
"""Journals print these after the references, and they are no appendix."""
_CITATION = re.compile(r"\b(19|20)\d\d\b|\bet al\b|,\s[A-Z]\.|[A-Z]\.,")
_NAMED = re.compile(
    r"(general )?introduction|motivation|(background and )?related works?|related literature|"
    r"literature review|background|preliminaries|problem (statement|formulation|setup)|overview|"
    r"(materials? and )?methods?|methodology|(our |proposed )?(approach|method)|model|theory|"
    r"experiments?|experimental (setup|results|evaluation)|experiments and results|"
    r"evaluation|(main )?results?( and discussion)?|(general )?discussions?|analysis|"
    r"limitations?( and future work)?|future works?|"
    r"(summary and |discussion and )?conclusions?( and (future works?|discussions?|outlook))?|"
    r"concluding remarks|summary|ethic(s|al)( statement| considerations)?|broader impacts?|"
    r"impact statement|reproducibility( statement)?|"
    r"(data|code)( and (data|code))? availability( statement)?|author contributions?|"
    r"competing (financial )?interests?|conflicts? of interests?|funding|"
    r"acknowledge?ments?( and .{1,40})?|references|references and notes|bibliography|"
    r"literature cited|works cited|"
    r"(technical )?append(ix|ices)( .{1,60})?|supporting information|"
    r"supplement(ary|al) (materials?|information|text|notes?|methods|results|appendix)|"
    r"(neurips |icml |responsible nlp |aaai |reproducibility )?(paper |reproducibility )?checklist",
    re.IGNORECASE,
)
_STATEMENTS = re.compile(
    r"(supplementary )?(theorem|lemma|definition|proposition|corollary|remark|example|assumption|"
    r"claim|fact|proof|algorithm|question|answer|step|case|figure|fig|table|note|input|output|require|ensure|q|a|"
    r"left|right|top|bottom|middle|center|row|column|key ?-?word|index term|ccs concept)"
    r"s?\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[,;]$|[a-z]\.$|\.\s+[a-z]")


@dataclass(frozen=True, slots=True)
class Heading:
    """Its own lines are ``start`` to ``stop``; a run-in is the first ``run_in`` characters of
    the line ``start``. ``kind`` is set where nothing but the text below tells it.
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


@dataclass(slots=True)
class _Count:
    """The number last taken, to tell which ones may follow.

    ``outer`` is the Roman number under which letters count subsections.
    """

    parts: tuple[int, ...] = ()
    style: str = ""
    outer: int = 0

    def take(self, number: str) -> int | None:
        """The level of a number that may follow; it then counts as the last."""
        for style, parts in _readings(number):
            if style == "letter" and self.outer and self._lettered_subsection(parts):
                return 2
            if self._follows(style, parts):
                self.parts, self.style = parts, style
                self.outer = parts[0] if style == "roman" else 0
                return len(parts)
        return None

    def _lettered_subsection(self, parts: tuple[int, ...]) -> bool:
        if len(parts) > 1 or (self.parts[1:] or (0,))[0] + 1 != parts[0]:
            return False
        self.parts = (self.outer, parts[0])
        return True

    def _follows(self, style: str, parts: tuple[int, ...]) -> bool:
        if style != self.style:
            # Appendices count in letters after sections in digits; nothing goes back to digits.
            return parts[0] == 1 and (not self.style or style == "letter")
        depth = len(parts)
        if depth > len(self.parts) + 1:
            return False
        if parts[: depth - 1] != self.parts[: depth - 1]:
            return depth > 1 and parts[0] == self.parts[0] + 1 and set(parts[1:]) == {1}
        last = self.parts[depth - 1] if depth <= len(self.parts) else 0
        # One number may be missed: its heading may be in a picture.
        return last < parts[depth - 1] <= last + 2


def section_kind(heading: str, before: SectionKind) -> SectionKind:
    """What a section is, by its heading and the one before it."""
    name = heading_name(heading).lower()
    for kind, pattern in _KINDS:
        if pattern.match(name):
            return kind
    if before in ("references", "appendix") and not _METHODS.fullmatch(name):
        return "appendix"
    if before == "checklist":
        return "appendix" if _LETTERED.match(heading) else "checklist"
    return "body"


_KINDS: tuple[tuple[SectionKind, re.Pattern[str]], ...] = (
    (
        "references",
        re.compile(r"(references|bibliography|literature cited|works cited)\b(?!.*\bmodel)"),
    ),
    (
        "acknowledgements",
        re.compile(
            r"acknowledge?ments?\b|funding\b|author contributions?\b|"
            r"competing .*interests?|conflicts? of interest"
        ),
    ),
    ("checklist", re.compile(r"(\w+ ){0,3}checklist\b")),
    (
        "appendix",
        re.compile(
            r"(technical )?append(ix|ices)\b|supporting information|"
            r"supplement(ary|al) (materials?|information|text|notes?|methods|results|appendix)"
        ),
    ),
)


def heading_name(heading: str) -> str:
    """A heading without its number and its final punctuation."""
    numbered = _NUMBERED.fullmatch(heading)
    return (numbered["name"] if numbered else heading).strip(" .:")


def find_headings(
    lines: Sequence[Line], labels: Sequence[ParagraphKind], body: Body, start: int
) -> list[Heading]:
    """The headings from the line ``start`` on, in order.

    First those that a number in sequence gives away, then those that a usual name does, then those
    that look like them. Where sections are numbered, a name alone must look like a number's line,
    or be of back matter.
    """
    finder = _Finder(lines, labels, body, start)
    sure = finder.by_number()
    looks = {finder.look(index): level for index, level in sure.items() if finder.stands_out(index)}
    numbered = sum(level == 1 for level in sure.values()) >= _FEWEST_NUMBERED
    for index in finder.by_name():
        if not numbered or finder.look(index) in looks or finder.is_back_matter(index):
            sure.setdefault(index, 1)
            if not numbered:
                looks.setdefault(finder.look(index), 1)
    for index in range(start, len(lines)):
        if index not in sure and finder.look(index) in looks and finder.stands_alone(index):
            sure[index] = looks[finder.look(index)]
    headings = _without_labels(list(finder.whole(sure)))
    if not any(section_kind(heading.text, "body") == "references" for heading in headings):
        headings = sorted([*headings, *_untitled_references(lines, start)], key=_position)
    return headings


def _without_labels(headings: Sequence[Heading]) -> list[Heading]:
    """Run-ins that come again and again are labels ("Query:", "Blocked:"), not headings."""
    times = Counter(heading.text for heading in headings if heading.run_in)
    return [heading for heading in headings if times[heading.text] < _LABEL_TIMES]


def _position(heading: Heading) -> int:
    return heading.start


def _untitled_references(lines: Sequence[Line], start: int) -> list[Heading]:
    """Journals print numbered references without a heading: where 1, 2, 3, ... begin them."""
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
        """Looks like no sentence, and like no part of one."""
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
            and not _STATEMENTS.match(text)
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
        """Levels of the lines whose numbers follow one another."""
        count = _Count()
        found: dict[int, int] = {}
        for index in range(self._start, len(self._lines)):
            line = self._lines[index]
            if line.cells <= 2 and self._labels[index] not in ("caption", "footnote"):
                level = self._numbered_level(index, count)
                if level is not None:
                    found[index] = level
        return found

    def _numbered_level(self, index: int, count: _Count) -> int | None:
        line = self._lines[index]
        numbered = _NUMBERED.fullmatch(self._lead_or_all(line))
        if not numbered or not _is_name(numbered["name"]):
            return None
        # A list counts too: only a subsection's number is enough by itself.
        if not (self.stands_out(index) or ("." in numbered["number"] and self._is_single(index))):
            return None
        return count.take(numbered["number"])

    def _lead_or_all(self, line: Line) -> str:
        return line.text[: line.lead].strip() if 0 < line.lead < len(line.text) - 1 else line.text

    def by_name(self) -> Iterator[int]:
        for index in range(self._start, len(self._lines)):
            text = self._lines[index].text
            if (
                len(text) <= _LONGEST_NAME
                and self._labels[index] not in ("caption", "footnote")
                and _NAMED.fullmatch(heading_name(text))
                and text[0].isalnum()
                and not text[0].islower()
                and (self.stands_out(index) or self._is_single(index))
            ):
                yield index

    def is_back_matter(self, index: int) -> bool:
        return section_kind(self._lines[index].text, "body") != "body"

    def whole(self, sure: dict[int, int]) -> Iterator[Heading]:
        """The headings with the lines that they run on to, and the run-ins between them."""
        index = self._start
        while index < len(self._lines):
            line = self._lines[index]
            level = sure.get(index)
            lead = self._lead_or_all(line)
            if level is not None and len(lead) == len(line.text):
                stop = self._end(index, sure)
                text = " ".join(line.text for line in self._lines[index:stop])
                yield Heading(index, stop, text, level)
                index = stop
                continue
            if level is not None or self._is_run_in(index):
                name = lead.rstrip(" .:–—")
                yield Heading(index, index, name, level or RUN_IN_LEVEL, line.lead)
            index += 1

    def _end(self, start: int, sure: dict[int, int]) -> int:
        stop = start + 1
        while stop < min(len(self._lines), start + 4) and stop not in sure:
            line, above = self._lines[stop], self._lines[stop - 1]
            if not (
                self.look(stop) == self.look(start)
                and self.stands_out(stop)
                and line.page == above.page
                and -0.2 * line.size < line.y0 - above.y1 < 0.8 * line.size
                and not _NUMBERED.fullmatch(line.text)
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
        if not lead[0].isupper() or _STATEMENTS.match(lead) or not _is_worded(lead):
            return False
        if lead[-1] in ".:?!" or rest[0] in "–—:":
            return self._begins_paragraph(index)
        return " " in lead and rest[0].isupper() and self._begins_block(index)

    def _begins_paragraph(self, index: int) -> bool:
        if self._begins_block(index):
            return True
        return self._lines[index - 1].text.endswith((".", "!", "?", ":", "”", ")"))


def _is_name(name: str) -> bool:
    """Whether what follows a number may be a heading's name."""
    return (
        len(name) <= _LONGEST_NAME
        and (
            name[0].isupper()
            or (name[0].isdigit() and name[1:2].isalpha())
            or not name[0].isascii()
        )
        and not _SENTENCE.search(name)
        and not _CITATION.search(name)
        and _is_worded(name)
    )


def _is_worded(text: str) -> bool:
    """Whether most of it is words, as a formula's is not."""
    words = [word for word in text.split() if sum(map(str.isalpha, word)) >= 3]
    return 2 * sum(map(len, words)) >= len(text)


def _readings(number: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """What a number may mean: I is one in Roman numerals, and the ninth letter."""
    head, *tail = number.split(".")
    rest = tuple(int(part) for part in tail)
    if head.isdigit():
        yield "digit", (int(head), *rest)
        return
    if set(head) <= set("IVX"):
        yield "roman", (_roman(head), *rest)
    if len(head) == 1:
        yield "letter", (ord(head.upper()) - ord("A") + 1, *rest)


def _roman(numeral: str) -> int:
    values = [{"I": 1, "V": 5, "X": 10}[char] for char in numeral]
    return sum(
        -value if value < max(values[index + 1 :], default=0) else value
        for index, value in enumerate(values)
    )
