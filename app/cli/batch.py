"""``reviewer batch``."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.console import err, exit_on_error, fail, out
from app.cli.service import INTERRUPTED, connect, run
from app.observability.logs import configure_logging

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from app.cli.batch_progress import BatchProgress
    from app.cli.client.api import ApiClient
    from app.cli.client.batch.inputs import BatchPaper
    from app.cli.client.batch.runner import BatchRunner

SOME_FAILED, STOPPED = 1, 3
"""Exit statuses."""


def batch(
    source: Annotated[
        Path,
        typer.Argument(
            help="A folder, or a CSV file with a column 'path' (relative to the file), optionally "
            "'id', and others, which are copied to the output.",
            exists=True,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--out", help="The output: one JSON line for each paper. Lines are added to it."
        ),
    ],
    table: Annotated[
        Path | None, typer.Option("--csv", help="At the end, also write a table for spreadsheets.")
    ] = None,
    url: options.Url = None,
    api_key: options.ApiKey = None,
    model: options.Model = None,
    template: options.Template = "default",
    samples: options.Samples = 1,
    verdict_only: options.VerdictOnly = False,
    concurrency: Annotated[
        int, typer.Option(min=1, max=256, help="Number of papers in flight.")
    ] = 8,
    patience: Annotated[
        float,
        typer.Option(min=1, help="Seconds without an answer after which the run ends."),
    ] = 900,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Review all papers again that have failed.")
    ] = False,
) -> None:
    """Review thousands of papers. The same command continues where the last run ended.

    Exit status: 0 every paper has a review; 1 some failed, their lines say why; 2 the command or a
    setting is wrong; 3 stopped before the end (service gone, disk full); 130 interrupted.
    """
    with exit_on_error():
        from app.cli.batch_progress import BatchProgress, show_summary
        from app.cli.client.batch.counts import BatchCounts
        from app.cli.client.batch.inputs import find_papers
        from app.cli.client.batch.output import BatchOutput
        from app.cli.client.batch.runner import BatchRunner
        from app.cli.client.batch.table import check_table, write_table

        configure_logging("warning", "console")
        parameters = options.review_parameters(
            model if url else None, template, samples, verdict_only=verdict_only
        )
        _check_different(source, output, table)
        found = find_papers(source)
        for notice in found.notices:
            err.print(notice, style="yellow", markup=False, highlight=False, soft_wrap=True)
        if table:
            check_table(table)
        counts = BatchCounts(len(found.papers))
        with BatchOutput(output, parameters, retry_failed=retry_failed) as lines:
            service = connect(url, api_key, model, concurrency)
            progress = BatchProgress(counts, err)
            if url is None:
                service = _announced(service, progress)
            runner = BatchRunner(service, parameters, lines, progress, patience)
            status = _run(runner, found.papers, concurrency)
            if counts.done:
                show_summary(counts, out)
            if table:
                write_table(table, lines.read)
    raise typer.Exit(status or (SOME_FAILED if counts.statuses["failed"] else 0))


def _check_different(*paths: Path | None) -> None:
    """Input, output and table must be three files."""
    resolved = [path.resolve() for path in paths if path]
    if len(set(resolved)) < len(resolved):
        fail("the input, --out and --csv must be different files")


@asynccontextmanager
async def _announced(
    service: AbstractAsyncContextManager[ApiClient], progress: BatchProgress
) -> AsyncGenerator[ApiClient, None]:
    """A private service, with progress shown while it loads the model."""
    progress.waiting("loading the model")
    async with service as client:
        progress.waiting(None)
        yield client


def _run(runner: BatchRunner, papers: Sequence[BatchPaper], concurrency: int) -> int:
    """0, or the exit status of a run that stopped before its end.

    Raises:
        ConfigurationError: the same command would fail again.
    """
    from app.cli.client.batch.output import OutputFailed
    from app.cli.client.batch.retry import ServiceGone

    try:
        run(runner.run(papers, concurrency))
    except KeyboardInterrupt:
        _say_stopped("interrupted; the reviews in progress are dropped")
        return INTERRUPTED
    except (ServiceGone, OutputFailed) as error:
        _say_stopped(f"{error.message} ({error.code})")
        return STOPPED
    return 0


def _say_stopped(why: str) -> None:
    message = f"reviewer: {why}. The same command continues from here."
    err.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
