"""How a batch goes on: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from app.client.batch.counts import Tally
from app.client.batch.output import Outcome

_LINE_EVERY_S = 10.0


class ProgressDisplay:
    """Implements :class:`app.client.batch.runner.Watcher`; a context manager."""

    def __init__(self, tally: Tally, console: Console) -> None:
        self._tally = tally
        self._console = console
        self._reasons: set[str] = set()
        """Told since the work last went on."""
        self._last_line = time.monotonic()
        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            _Pace(tally),
            TextColumn("{task.fields[reason]}", style="yellow", markup=False),
            console=console,
        )
        self._task = self._bar.add_task("papers", total=tally.total, reason="")

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
        self._tally.begin()

    def done(self, outcome: Outcome, *, earlier: bool) -> None:
        self._tally.add(outcome, earlier=earlier)
        self._bar.update(self._task, completed=self._tally.told)
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

    def _say(self, told: str, style: str) -> None:
        self._console.print(told, style=style, markup=False, highlight=False, soft_wrap=True)

    def _line(self) -> None:
        self._last_line = time.monotonic()
        self._say(f"{self._tally.told}/{self._tally.total} papers, {pace(self._tally)}", "")


class _Pace(ProgressColumn):
    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def render(self, task: Task) -> Text:  # noqa: ARG002  # rich's signature
        return Text(pace(self._tally))


def pace(tally: Tally) -> str:
    """Rate, time left and failures, in words."""
    failed = f"{tally.statuses['failed']} failed"
    if tally.left_s is None:
        return failed
    minutes, seconds = divmod(round(tally.left_s), 60)
    left = f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d} left"
    return f"{tally.per_minute:.1f} a minute, {left}, {failed}"
