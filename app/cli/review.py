"""``reviewer review``."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.console import err, exit_on_error, fail, out, show_review
from app.errors import ReviewerError
from app.observability.logs import configure_logging
from app.paper.sources import File
from app.settings import Settings, load_settings

if TYPE_CHECKING:
    from rich.status import Status

    from app.review.service import ReviewService
    from app.schemas.requests import ReviewParameters
    from app.schemas.review import Review

# Reading a long paper on a slow CPU; the service itself has no such limit.
_CLIENT_TIMEOUT_S = 900.0


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
    with exit_on_error(), err.status("starting") as status:
        file = File(pdf.read_bytes(), pdf.name)
        asked = options.review_parameters(
            model if url else None, template, samples, verdict_only=verdict_only
        )
        if url is None:
            configure_logging("warning", "console")
            finished = asyncio.run(_review_here(load_settings(model=model), file, asked, status))
        else:
            finished = _review_there(url, api_key, file, asked, status)
    if as_json:
        # Not through rich, which would fold and colour it.
        sys.stdout.write(finished.model_dump_json(indent=2) + "\n")
    elif as_markdown:
        sys.stdout.write(finished.text.rstrip() + "\n")
    else:
        show_review(finished, out, err)
    if finished.notice:
        err.print(finished.notice, style="yellow")


async def _review_here(
    settings: Settings, file: File, asked: ReviewParameters, status: Status
) -> Review:
    """With an engine of our own, started for this one paper."""
    from app.local import local_service

    status.update("loading the model")
    async with local_service(settings) as local:
        return await _follow(local.reviews, file, asked, status)


async def _follow(
    service: ReviewService, file: File, parameters: ReviewParameters, status: Status
) -> Review:
    from app.review.service import Completed, Extracted, Judging, Prompted, Writing

    status.update("extracting")
    words = 0
    async with aclosing(service.start(file, parameters)) as events:
        async for event in events:
            match event:
                case Extracted(paper=paper):
                    # A paper's title may hold brackets, which are no markup of ours.
                    told = f"extracted {paper.pages} pages: {paper.title}"
                    err.print(told, highlight=False, markup=False)
                case Prompted(prompt=prompt):
                    status.update(f"reading {prompt.tokens} tokens")
                case Writing(text=text):
                    words += len(text.split())
                    status.update(f"writing: {words} words")
                case Judging():
                    status.update("verdict")
                case Completed(review=finished):
                    return finished
    raise AssertionError("the service's events end with Completed or an error")


def _review_there(
    url: str, api_key: str | None, file: File, asked: ReviewParameters, status: Status
) -> Review:
    """By a running service."""
    import httpx

    from app.schemas.errors import ErrorEnvelope
    from app.schemas.review import Review

    status.update(f"waiting for {url}")
    try:
        response = httpx.post(
            f"{url.rstrip('/')}/v1/reviews",
            files={"file": (file.name, file.data, "application/pdf")},
            data=asked.model_dump(mode="json", exclude_defaults=True),
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=_CLIENT_TIMEOUT_S,
        )
    except httpx.HTTPError as error:
        fail(f"{url} does not answer: {error}")
    try:
        if response.is_success:
            return Review.model_validate_json(response.content)
        detail = ErrorEnvelope.model_validate_json(response.content).error
    except ValueError:
        fail(f"{url} answered {response.status_code}, and it is no reviewer's answer")
    raise ReviewerError(detail.message, code=str(detail.code))
