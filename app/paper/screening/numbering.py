"""Line numbers that an extraction elsewhere left between the words of a text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from app.paper.model import Paper, Paragraph
from app.paper.screening.edits import Cut, edited

_NUMBER = re.compile(r"(?<![\w.,=/(\[-])(\d{1,4})(?![\w.,%)\]/=-])")
_LAST_NUMBER = re.compile(r"(?<=[.!?\]]) \d{1,4}$")
_WORD_BEFORE = re.compile(r"\b([A-Z][a-z]{2,})[ \n(]*$")
_NOT_NUMBERED = ("references", "front_matter")
"""Sections whose numbers are volumes, pages and addresses."""
_ROWS = ("table", "figure", "equation", "caption")
_SHORTEST_RUN = 8
_BEGINS_LINE = re.compile(r"^(\d{1,3})[.:)]?[ \t]+\S", re.MULTILINE)
_FARTHEST = 400
"""Most characters between two line numbers that follow each other."""
_LINE = 30
"""Fewest characters of a line."""
_MOSTLY = 0.7
"""Part of a run's numbers that stand so."""


@dataclass(slots=True)
class _Run:
    """Numbers that count on from one another: the text that each is in, and where.

    ``lines`` counts those that stand alone or a line's worth of text after the one before.
    """

    value: int
    position: int
    cuts: list[tuple[int, Cut]]
    lines: int = 0
    before: Counter[str] = field(default_factory=Counter)

    def is_of_lines(self) -> bool:
        """Whether lines lie between them, and not each follows the same word: Experiment 1, 2, 3.

        What begins each line of one text and counts from one is a list's.
        """
        most = self.before.most_common(1)[0][1] if self.before else 0
        if most > 0.5 * len(self.cuts):
            return False
        return len(self.cuts) > 1 and self.lines >= _MOSTLY * (len(self.cuts) - 1)


def without_line_numbers(paper: Paper) -> tuple[Paper, bool]:
    """The paper without them, and whether there were any."""
    cuts = _line_numbers([paper.abstract, *_texts(paper)])
    if not any(cuts):
        return paper, False
    abstract, *rest = cuts
    following = iter(rest)
    sections = []
    for section in paper.sections:
        kept = [edited(paragraph, next(following)) for paragraph in section.paragraphs]
        filled = tuple(paragraph for paragraph in kept if paragraph.text.strip())
        sections.append(replace(section, paragraphs=filled))
    whole = edited(Paragraph(paper.abstract), abstract).text
    return replace(paper, abstract=whole, sections=tuple(sections)), True


def _line_numbers(texts: Sequence[str]) -> list[list[Cut]]:
    """Of each text, the numbers that count on from one another through all of them.

    A long run proves that the lines are numbered; then short ones count too.
    """
    found: list[list[Cut]] = [[] for _ in texts]
    runs = [run for run in _runs(texts) if run.is_of_lines()]
    if not any(len(run.cuts) >= _SHORTEST_RUN for run in runs):
        return found
    for run in runs:
        for index, cut in run.cuts:
            found[index].append(cut)
    for index, text in enumerate(texts):
        last = _LAST_NUMBER.search(text)
        if last:
            found[index].append((last.start(), last.end(), ""))
    return found


def _runs(texts: Sequence[str]) -> list[_Run]:
    runs: list[_Run] = []
    latest: dict[int, _Run] = {}
    offset = 0
    for index, text in enumerate(texts):
        alone = text.replace(" ", "").isdigit()
        for match in _NUMBER.finditer(text):
            value, position = int(match[1]), offset + match.start()
            run = _run_before(latest, value, position)
            if run is None:
                run = _Run(value, position, [])
                runs.append(run)
            else:
                del latest[run.value]
                run.lines += alone or position - run.position >= _LINE
            run.value, run.position = value, position
            word = _WORD_BEFORE.search(text, max(0, match.start() - 30), match.start())
            run.before.update([word[1]] if word else [])
            run.cuts.append((index, (match.start(), match.end(), "")))
            latest[value] = run
        offset += len(text) + 1
    return runs


def _run_before(latest: dict[int, _Run], value: int, position: int) -> _Run | None:
    """The run that ``value`` goes on with; a number or two may be lost in a formula."""
    for step in (1, 2, 3):
        run = latest.get(value - step)
        if run and position - run.position <= _FARTHEST * step:
            return run
    return None


def _texts(paper: Paper) -> Iterator[str]:
    """All paragraphs in order; empty for those that have numbers of their own."""
    for section in paper.sections:
        for paragraph in section.paragraphs:
            own = section.kind in _NOT_NUMBERED or paragraph.kind in _ROWS
            yield "" if own or _is_list(paragraph.text) else paragraph.text


def _is_list(text: str) -> bool:
    """Whether lines begin with 1, 2, 3, ..., as the steps of an algorithm do."""
    numbers = [int(match[1]) for match in _BEGINS_LINE.finditer(text)]
    lines = text.count("\n") + 1
    return (
        len(numbers) > 2
        and numbers[0] <= 1
        and 2 * len(numbers) > lines
        and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    )
