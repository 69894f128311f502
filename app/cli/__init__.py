"""The ``reviewer`` command."""

from __future__ import annotations

import typer

from app.cli.batch import batch
from app.cli.extract import extract
from app.cli.keys import keys
from app.cli.models import models
from app.cli.review import review
from app.cli.serve import serve

cli = typer.Typer(
    help="Reviews scientific papers: a PDF in, a review and a verdict out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (serve, review, batch, extract):
    cli.command()(command)
cli.add_typer(models, name="models")
cli.add_typer(keys, name="keys")
