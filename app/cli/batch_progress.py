"""The progress of a batch (a bar on a terminal, otherwise lines) and its summary at the end."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from app.cli.client.batch.counts import BINS, BatchCounts
from app.cli.client.batch.output import Outcome

_LINE_EVERY_S = 10.0


class BatchProgress:
    """Implements :class:`app.cli.client.batch.runner.Progress`; a context manager."""

    def __init__(self, counts: BatchCounts, console: Console) -> None:
        self._counts = counts
        self._console = console
        self._reasons: set[str] = set()
        """Those that were shown since the last paper was done."""
        self._last_line = time.monotonic()
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(counts),
            TextColumn("{task.fields[reason]}", style="yellow", markup=False),
            console=console,
        )
        self._task = self._bar.add_task("papers", total=counts.total, reason="")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._console.is_terminal:
            self._bar.stop()
        else:
            self._line()

    def begin(self) -> None:
        self._counts.begin()

    def done(self, outcome: Outcome, *, earlier: bool) -> None:
        self._counts.add(outcome, earlier=earlier)
        self._bar.update(self._task, completed=self._counts.done)
        if not earlier and outcome.status == "failed":
            self._say(f"{outcome.path}: {outcome.code}", "red")
        elif not earlier and outcome.status == "duplicate":
            self._say(f"{outcome.path}: the same paper as another, reviewed once", "yellow")
        if not self._console.is_terminal and time.monotonic() - self._last_line > _LINE_EVERY_S:
            self._line()

    def waiting(self, reason: str | None) -> None:
        if reason is None:
            self._reasons.clear()
        elif reason not in self._reasons:
            self._reasons.add(reason)
            if not self._console.is_terminal:
                self._say(reason, "yellow")
        self._bar.update(self._task, reason=reason or "")

    def _say(self, message: str, style: str) -> None:
        self._console.print(message, style=style, markup=False, highlight=False, soft_wrap=True)

    def _line(self) -> None:
        self._last_line = time.monotonic()
        self._say(f"{self._counts.done}/{self._counts.total} papers, {rate(self._counts)}", "")


class _Rate(ProgressColumn):
    def __init__(self, counts: BatchCounts) -> None:
        super().__init__()
        self._counts = counts

    def render(self, task: Task) -> Text:  # noqa: ARG002  # rich's signature
        return Text(rate(self._counts))


def rate(counts: BatchCounts) -> str:
    """Rate, time left and number of failures."""
    failed = f"{counts.statuses['failed']} failed"
    if counts.left_s is None:
        return failed
    minutes, seconds = divmod(round(counts.left_s), 60)
    left = f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d} left"
    return f"{counts.per_minute:.1f} a minute, {left}, {failed}"


_LONGEST_BAR = 40


def show_summary(counts: BatchCounts, out: Console) -> None:
    """How many, how they were decided, with which probabilities, and what failed."""
    for line in summary(counts):
        out.print(line, markup=False, highlight=False, soft_wrap=True)


def summary(counts: BatchCounts) -> list[str]:
    of = counts.statuses
    parts = [f"{of['completed']} reviewed", f"{of['failed']} failed"]
    if of["duplicate"]:
        parts.append(f"{of['duplicate']} the same paper as another")
    if counts.done < counts.total:
        parts.append(f"{counts.total - counts.done} to do")
    lines = [f"{counts.total} papers: {', '.join(parts)}"]
    if counts.earlier:
        lines[0] += f" ({counts.earlier} of them in earlier runs)"
    if of["completed"]:
        lines += [_decisions(counts), *_histogram(counts)]
    if counts.failures:
        codes = (f"{code} {count}" for code, count in counts.failures.most_common())
        lines.append(f"Failures: {', '.join(codes)}")
    lines += [f"{count} reviews: {notice}" for notice, count in counts.notices.items()]
    return lines


def _decisions(counts: BatchCounts) -> str:
    of = ", ".join(f"{count} {decision}" for decision, count in sorted(counts.decisions.items()))
    rate = "" if counts.accept_rate is None else f"; accept rate {counts.accept_rate:.1%}"
    return f"Decisions: {of}{rate}"


def _histogram(counts: BatchCounts) -> list[str]:
    most = max(counts.histogram)
    if not most:
        return []
    lines = ["Probability of acceptance:"]
    for index, count in enumerate(counts.histogram):
        bar = "█" * -(-count * _LONGEST_BAR // most)
        lines.append(f"  {index / BINS:.1f}–{(index + 1) / BINS:.1f} {bar:{_LONGEST_BAR}} {count}")
    return lines
