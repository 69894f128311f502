"""``reviewer batch``."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.console import err, exit_on_error, fail, out
from app.observability.logs import configure_logging
from app.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from app.client.batch.inputs import BatchPaper
    from app.client.batch.reviewer import Reviewer
    from app.client.batch.runner import Runner

SOME_FAILED, STOPPED, INTERRUPTED = 1, 3, 130


def batch(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder, or a CSV file with a column 'path' (relative to it), perhaps 'id', and "
            "others, which are carried into the output.",
            exists=True,
        ),
    ],
    output: Annotated[
        Path, typer.Option("--out", help="The output: one JSON line a paper. It is added to.")
    ],
    table: Annotated[
        Path | None, typer.Option("--csv", help="Also write a table for spreadsheets, at the end.")
    ] = None,
    url: options.Url = None,
    api_key: options.ApiKey = None,
    model: options.Model = None,
    template: options.Template = "default",
    samples: options.Samples = 1,
    verdict_only: options.VerdictOnly = False,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Papers at the service at the same time.")
    ] = 8,
    patience: Annotated[
        float,
        typer.Option(min=1, help="Seconds that the service may be silent before the run ends."),
    ] = 900,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try all failed papers again.")
    ] = False,
) -> None:
    """Review thousands of papers. The same command again goes on where the last one ended.

    Exit status: 0 every paper has a review; 1 some failed, their lines say why; 2 the command can't
    work as it is; 3 stopped half-way (service gone, disk full); 130 interrupted.
    """
    with exit_on_error():
        from app.cli.batch_progress import ProgressDisplay
        from app.cli.batch_summary import show_summary
        from app.client.batch.counts import Tally
        from app.client.batch.inputs import find_papers
        from app.client.batch.output import Ledger
        from app.client.batch.runner import Runner
        from app.client.batch.table import check_table, write_table

        configure_logging("warning", "console")
        asked = options.review_parameters(
            model if url else None, template, samples, verdict_only=verdict_only
        )
        _check_apart(source, output, table)
        found = find_papers(source)
        for notice in found.notices:
            err.print(notice, style="yellow", markup=False, highlight=False, soft_wrap=True)
        if table:
            check_table(table)
        tally = Tally(len(found.papers))
        with Ledger(output, asked, retry_failed=retry_failed) as ledger:
            reviewer = _reviewer(url, api_key, model, concurrency, patience)
            runner = Runner(reviewer, ledger, ProgressDisplay(tally, err), asked, patience)
            status = _ended(runner, found.papers, concurrency)
            if tally.told:
                show_summary(tally, out)
            if table:
                write_table(table, ledger.lines)
    raise typer.Exit(status or (SOME_FAILED if tally.statuses["failed"] else 0))


def _check_apart(*paths: Path | None) -> None:
    """Input, output and table must be three files."""
    places = [path.resolve() for path in paths if path]
    if len(set(places)) < len(places):
        fail("the input, --out and --csv must be different files")


def _reviewer(
    url: str | None, api_key: str | None, model: str | None, at_once: int, timeout_s: float
) -> Reviewer:
    if url is None:
        from app.client.batch.local import LocalReviewer

        return LocalReviewer(load_settings(model=model))
    from app.client.batch.remote import RemoteReviewer

    return RemoteReviewer(url, api_key, at_once, timeout_s)


def _ended(runner: Runner, papers: Sequence[BatchPaper], at_once: int) -> int:
    """How the run ended: 0, or why it stopped before its end.

    Raises:
        ConfigurationError: another run would not fare better.
    """
    from app.client.batch.output import OutputFailed
    from app.client.batch.runner import ServiceGone

    try:
        asyncio.run(_interruptible(runner.run(papers, at_once)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        _stopped("interrupted; what was under way is dropped")
        return INTERRUPTED
    except (ServiceGone, OutputFailed) as error:
        _stopped(f"{error.message} ({error.code})")
        return STOPPED
    return 0


async def _interruptible(running: Coroutine[None, None, None]) -> None:
    """SIGTERM ends it as Ctrl-C does."""
    task = asyncio.ensure_future(running)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await task


def _stopped(why: str) -> None:
    told = f"reviewer: {why}. The same command goes on from here."
    err.print(told, style="red", markup=False, highlight=False, soft_wrap=True)
