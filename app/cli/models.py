"""``reviewer models``."""

from __future__ import annotations

import logging
from typing import Annotated

import typer
from rich.table import Table

from app.cli.console import err, exit_on_error, fail, out
from app.errors import ConfigurationError
from app.settings import load_settings

models = typer.Typer(
    help="List the models that have an alias, and which of them are on this machine's disk."
)


@models.callback(invoke_without_command=True)
def list_models(context: typer.Context) -> None:
    """List the models that have an alias, and which of them are on this machine's disk."""
    if context.invoked_subcommand:
        return
    from app.engine.launcher import installed_vllm, runs_on_cpu
    from app.engine.models import ALIASES, find_source, on_disk

    with exit_on_error():
        settings = load_settings()
        found = installed_vllm()
        default = find_source("auto", cpu=runs_on_cpu())
    table = Table("name", "model", "on disk", "about")
    for source in ALIASES.values():
        name = f"{source.name} (default here)" if source == default else source.name
        present = "yes" if on_disk(source, settings.cache_dir) else "no"
        table.add_row(name, source.location or source.hub or "a package", present, source.about)
    out.print(table)
    out.print(f"vLLM: {' '.join(found) if found else 'not installed'}")


@models.command()
def pull(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Alias, hub id or TOML file; by default the model that the service would start."
        ),
    ] = None,
) -> None:
    """Download a model before the first start, or again if its weights are damaged.

    Exit status: 0 the model is complete; 2 it can't be downloaded, and the message says what to do.
    """
    from app.engine.launcher import runs_on_cpu
    from app.engine.models import find_source, pulled
    from app.engine.start_failures import why

    # The hub's client shows progress bars, the service's own download logs its progress.
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("app.engine").setLevel(logging.INFO)
    with exit_on_error():
        settings = load_settings()
        source = find_source(name or settings.model, cpu=runs_on_cpu())
        try:
            folder = pulled(source, settings.cache_dir)
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001  # any error ends the command with a message
            failure = why(error)
            fail(f"{failure.message} ({failure.code})")
    err.print(f"{source.name} is in", style="green", end=" ")
    out.print(str(folder), soft_wrap=True, highlight=False)
