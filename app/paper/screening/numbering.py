"""Removes line numbers that another program's extraction left between the words of a text."""

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
"""Sections in which numbers are volumes, pages and addresses."""
_ROWS = ("table", "figure", "equation", "caption")
_SHORTEST_RUN = 8
_BEGINS_LINE = re.compile(r"^(\d{1,3})[.:)]?[ \t]+\S", re.MULTILINE)
_FARTHEST = 400
"""Most characters between two line numbers that follow each other."""
_LINE = 30
"""Fewest characters of a line."""
_MOSTLY = 0.7
"""Least share of a run's numbers that are a line apart."""


@dataclass(slots=True)
class _Run:
    """Consecutive numbers, with the text that each is in, and its position.

    ``lines`` counts those that are alone in a text, or at least a line after the previous number.
    """

    value: int
    position: int
    cuts: list[tuple[int, Cut]]
    lines: int = 0
    before: Counter[str] = field(default_factory=Counter)

    def is_of_lines(self) -> bool:
        """Whether there are lines between the numbers, and they don't all follow the same word
        ("Experiment 1", "Experiment 2").
        """
        most = self.before.most_common(1)[0][1] if self.before else 0
        if most > 0.5 * len(self.cuts):
            return False
        return len(self.cuts) > 1 and self.lines >= _MOSTLY * (len(self.cuts) - 1)


def without_line_numbers(paper: Paper) -> tuple[Paper, bool]:
    """The paper without line numbers, and whether it had any."""
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
    """For each text, its line numbers: numbers that are consecutive through all texts.

    A long run shows that the lines are numbered; then short runs are line numbers too.
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
    """The run that ``value`` continues. Up to two numbers may be missing, lost in a formula."""
    for step in (1, 2, 3):
        run = latest.get(value - step)
        if run and position - run.position <= _FARTHEST * step:
            return run
    return None


def _texts(paper: Paper) -> Iterator[str]:
    """All paragraphs in order; empty strings for those that have other numbers."""
    for section in paper.sections:
        for paragraph in section.paragraphs:
            own = section.kind in _NOT_NUMBERED or paragraph.kind in _ROWS
            yield "" if own or _is_list(paragraph.text) else paragraph.text


def _is_list(text: str) -> bool:
    """Whether the lines begin with 1, 2, 3, ..., like the steps of an algorithm."""
    numbers = [int(match[1]) for match in _BEGINS_LINE.finditer(text)]
    lines = text.count("\n") + 1
    return (
        len(numbers) > 2
        and numbers[0] <= 1
        and 2 * len(numbers) > lines
        and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    )
