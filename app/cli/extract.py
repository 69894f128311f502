"""``reviewer extract``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.console import err, exit_on_error, fail, out, show_outline
from app.paper.sources import File
from app.resources.paper import paper_markdown, paper_resource
from app.settings import load_settings

if TYPE_CHECKING:
    from app.paper.model import Paper
    from app.settings import Settings


def extract(
    file: Annotated[
        Path,
        typer.Argument(
            help="PDF, LaTeX, arXiv source, Markdown or text.", exists=True, dir_okay=False
        ),
    ],
    as_json: options.AsJson = False,
    as_markdown: options.AsMarkdown = False,
    blind: Annotated[
        bool, typer.Option(help="Remove authors, venue, status and acknowledgements.")
    ] = True,
    overlay: Annotated[
        Path | None, typer.Option(help="Write the PDF with what was recognised drawn on it.")
    ] = None,
) -> None:
    """Read a paper without reviewing it, and report what is suspicious. No model is loaded."""
    if as_json and as_markdown:
        fail("--json or --markdown, not both")
    if overlay and overlay.exists() and overlay.samefile(file):
        fail("--overlay would overwrite the paper itself: name another file")
    with exit_on_error(), err.status("reading"):
        settings = load_settings()
        source = File(file.read_bytes(), file.name)
        paper, drawn = asyncio.run(_read(settings, source, blind=blind, draw=overlay is not None))
        if overlay and drawn:
            overlay.write_bytes(drawn)
    if as_json:
        sys.stdout.write(paper_resource(paper, None).model_dump_json(indent=2) + "\n")
    elif as_markdown:
        sys.stdout.write(paper_markdown(paper))
    else:
        show_outline(paper, out, err)


async def _read(
    settings: Settings, source: File, *, blind: bool, draw: bool
) -> tuple[Paper, bytes | None]:
    from app.paper.reader import PaperReader

    async with PaperReader(settings) as reader:
        paper = await reader.read(source, blind=blind)
        return paper, await reader.overlay(source) if draw else None
