"""Classifies lines: running text, captions, tables, labels of figures, equations, footnotes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.paper.model import ParagraphKind
from app.paper.pdf.lines import Line
from app.paper.screening.identity import NOTE_OF_FIRST_PAGE

_CAPTION = re.compile(
    r"(supplementary |extended data |appendix )?"
    r"(figure|fig\.|table|tab\.|algorithm|listing|scheme|box)\s*"
    r"(\d{1,3}|[A-Z]\.?\d{0,2}|[IVX]{1,6})(\.\d{1,2})?(?P<end>\s*[:.|–—]|\s+\S|$)",
    re.IGNORECASE,
)
NOTE_MARK = re.compile(r"(\d{1,2}|[∗*†‡§¶♠♣♦♥⋆✉#]+)\s?(?=[^\d\s.,:;)\]])")
_NOTES_BELOW = 0.5
"""Footnotes begin below this share of a page's height; above it, marks belong to authors."""
_NOTE_SIZE = 0.93
"""Largest size of a footnote, as a share of the body's."""
_LONGEST_ROW = 60
_WORD = re.compile(r"[^\W\d_]{4,}")
_CELL = re.compile(r"[-+±–]?[\d.,]+\s*%?|[-–—✓✗×]")


@dataclass(frozen=True, slots=True)
class Body:
    """The typeface of the running text, and in points its size, the width of a column, and the
    distance from line to line.
    """

    font: str
    size: float
    measure: float
    leading: float


def body_of(lines: Sequence[Line]) -> Body:
    """The typeface and measures of most characters."""
    fonts: Counter[tuple[str, float]] = Counter()
    widths: Counter[int] = Counter()
    pitches: Counter[int] = Counter()
    for above, line in zip([None, *lines], lines, strict=False):
        fonts[line.font, line.size] += len(line.text)
        if len(line.text) >= 30:
            widths[round((line.x1 - line.x0) / 4) * 4] += len(line.text)
            if above and not _apart(above, line):
                pitches[round(line.y0 - above.y0)] += 1
    sizes: Counter[float] = Counter()
    for (_, of), characters in fonts.items():
        sizes[of] += characters
    size = sizes.most_common(1)[0][0]
    font = max((characters, name) for (name, of), characters in fonts.items() if of == size)[1]
    return Body(font, size, _mode(widths, 400.0), _mode(pitches, 1.2 * size))


def _mode(counts: Counter[int], default: float) -> float:
    return float(counts.most_common(1)[0][0]) if counts else default


def label_lines(lines: Sequence[Line], body: Body, headings: set[int]) -> list[ParagraphKind]:
    """The kind of each line. Lines of ``headings`` are ``text``."""
    labels: list[ParagraphKind] = ["text"] * len(lines)
    for block in _blocks(lines):
        rest = [index for index in block if index not in headings]
        if rest:
            kind = _kind_of([lines[index] for index in rest], body)
            for index in rest:
                labels[index] = kind
    for index in _notes(lines, body):
        if index not in headings and labels[index] != "caption":
            labels[index] = "footnote"
    return labels


def is_caption(line: Line) -> bool:
    """Whether a line begins a caption: a number, followed by punctuation or in bold."""
    match = _CAPTION.match(line.text)
    if not match:
        return False
    return match["end"].strip() in (":", ".", "|", "–", "—", "") or line.lead >= match.start("end")


def _blocks(lines: Sequence[Line]) -> Iterator[list[int]]:
    """Indices of lines in one block. A caption begins a new block, and white space ends it."""
    block: list[int] = []
    for index, line in enumerate(lines):
        if block:
            above = lines[block[-1]]
            below_caption = is_caption(lines[block[0]]) and line.y0 - above.y1 > 0.6 * line.size
            if _apart(above, line) or is_caption(line) or below_caption:
                yield block
                block = []
        block.append(index)
    if block:
        yield block


def _apart(above: Line, line: Line) -> bool:
    return (line.page, line.block) != (above.page, above.block)


def _kind_of(block: Sequence[Line], body: Body) -> ParagraphKind:
    if is_caption(block[0]):
        return "caption"
    if not block[0].upright or _is_table(block):
        return "table"
    if sum(is_formula(line) for line in block) > 0.5 * len(block):
        return "equation"
    if _is_debris(block, body):
        return "figure"
    return "text"


def _is_table(block: Sequence[Line]) -> bool:
    rows = sum(line.cells > 2 or (line.cells == 2 and _mostly_cells(line.text)) for line in block)
    cells = sum(_mostly_cells(line.text) for line in block)
    return rows > 0.5 * len(block) or (len(block) > 1 and cells > 0.6 * len(block))


def _mostly_cells(text: str) -> bool:
    if len(text) > _LONGEST_ROW:
        return False
    words = text.split()
    return sum(_CELL.fullmatch(word) is not None for word in words) >= 0.5 * len(words)


def is_formula(line: Line) -> bool:
    """Whether a line belongs to a displayed equation, not to a sentence with formulas."""
    words = _WORD.findall(line.text)
    if line.symbols > 0.3:
        return len(words) <= 3
    return not words and (line.symbols > 0 or "=" in line.text) and len(line.text) < 60


def _is_debris(block: Sequence[Line], body: Body) -> bool:
    """Whether a block is labels of a figure: short lines that are small or not sentences."""
    if any(line.x1 - line.x0 > 0.55 * body.measure for line in block):
        return False
    last = block[-1].text
    small = all(line.size < 0.85 * body.size for line in block)
    if (
        last.endswith((".", "!", "?", "”"))
        # The last word of a sentence may be alone at the top of a column.
        and (len(last.split()) > 1 or (last[0].islower() and block[-1].font == body.font))
        and block[0].size >= 0.85 * body.size
    ):
        return False
    return small or all(len(line.text) < 25 and line.cells == 1 for line in block)


def _notes(lines: Sequence[Line], body: Body) -> Iterator[int]:
    """Footnotes: the small lines at the foot of a column, from the first with a mark on."""
    feet: dict[int, float] = {}
    for line in lines:
        feet[line.page] = max(line.y1, feet.get(line.page, 0.0))
    for column in _columns(lines):
        start = len(column)
        while start > 0 and lines[column[start - 1]].size <= _NOTE_SIZE * body.size:
            start -= 1
        if start == 0:
            continue
        tail = column[start:]
        for at, index in enumerate(tail):
            line = lines[index]
            if (
                line.y0 > _NOTES_BELOW * feet[line.page]
                and begins_note(line)
                and _apart(lines[index - 1], line)
            ):
                yield from tail[at:]
                break


def begins_note(line: Line) -> bool:
    """Whether the line begins with a footnote's mark, or like a note on a first page."""
    return (
        bool(line.marks and line.text.startswith(line.marks[0]))
        or NOTE_MARK.match(line.text) is not None
        or NOTE_OF_FIRST_PAGE.match(line.text) is not None
    )


def _columns(lines: Sequence[Line]) -> Iterator[list[int]]:
    """Indices of the lines of each column, from top to bottom."""
    column: list[int] = []
    for index, line in enumerate(lines):
        if column:
            above = lines[column[-1]]
            if line.page != above.page or line.y1 < above.y0:
                yield column
                column = []
        column.append(index)
    if column:
        yield column
