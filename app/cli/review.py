"""``reviewer review``."""

from __future__ import annotations

import sys
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.console import err, exit_on_error, fail, out, show_review
from app.cli.service import INTERRUPTED, connect, run
from app.observability.logs import configure_logging
from app.paper.sources import File

if TYPE_CHECKING:
    from rich.status import Status

    from app.api.schemas.events import ReviewExtracted
    from app.api.schemas.requests import ReviewParameters
    from app.api.schemas.review import Review
    from app.cli.client.api import ApiClient


def review(
    pdf: Annotated[Path, typer.Argument(help="The paper.", exists=True, dir_okay=False)],
    url: options.Url = None,
    api_key: options.ApiKey = None,
    model: options.Model = None,
    template: options.Template = "default",
    samples: options.Samples = 1,
    verdict_only: options.VerdictOnly = False,
    as_json: options.AsJson = False,
    as_markdown: options.AsMarkdown = False,
) -> None:
    """Review one paper."""
    if as_json and as_markdown:
        fail("--json or --markdown, not both")
    with exit_on_error(), err.status("loading the model" if url is None else "sending") as status:
        configure_logging("warning", "console")
        file = File(pdf.read_bytes(), pdf.name)
        parameters = options.review_parameters(
            model if url else None, template, samples, verdict_only=verdict_only
        )
        service = connect(url, api_key, model, connections=1)
        try:
            finished = run(_review(service, file, parameters, status))
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
    if as_json:
        # Not through rich, which would wrap and colour it.
        sys.stdout.write(finished.model_dump_json(indent=2) + "\n")
    elif as_markdown:
        sys.stdout.write(finished.text.rstrip() + "\n")
    else:
        show_review(finished, out, err)
    if finished.notice:
        err.print(finished.notice, style="yellow")


async def _review(
    service: AbstractAsyncContextManager[ApiClient],
    file: File,
    parameters: ReviewParameters,
    status: Status,
) -> Review:
    """The finished review. ``status`` shows the progress."""
    words = 0
    async with service as client, aclosing(client.stream_review(file, parameters)) as events:
        status.update("extracting")
        async for event in events:
            if event.type == "review.extracted":
                # A paper's title may contain brackets, which are not rich's markup.
                message = f"extracted {event.paper.pages} pages: {event.paper.title}"
                err.print(message, highlight=False, markup=False)
                status.update(f"reading {_tokens_read(event)} tokens of the paper")
            elif event.type == "review.delta":
                words += len(event.text.split())
                status.update(f"writing: {words} words")
            elif event.type == "review.completed":
                return event.review
    raise AssertionError("the events end with review.completed or an error")


def _tokens_read(event: ReviewExtracted) -> int:
    """The tokens of the paper's sections, without what did not fit into the prompt."""
    tokens = sum(section.tokens for section in event.paper.sections if section.included)
    shortened = [section for section in event.integrity.truncated if section.kept_tokens]
    return tokens - sum(section.tokens - section.kept_tokens for section in shortened)
