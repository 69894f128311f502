"""The progress of a batch: a live bar on a terminal, otherwise a line every ten seconds."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from app.cli.client.batch.counts import BatchCounts
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
