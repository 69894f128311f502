"""``reviewer serve``."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.console import exit_on_error, fail
from app.observability.logs import configure_logging
from app.settings import load_settings

if TYPE_CHECKING:
    from app.settings import Settings

_NOT_STARTED = 3
_NO_MODEL = 4
"""Exit status if the model can't be started, and trying again would not help."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    model: options.Model = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Serve other machines without API keys.")
    ] = False,
) -> None:
    """Run the service. Everything else is set by REVIEWER_ variables (docs/configuration.md)."""
    from app.api.auth import check_exposure
    from app.api.server import Server, check_port
    from app.main import create_app
    from app.store.storage import check_store

    _silence_the_resource_tracker()
    with exit_on_error():
        settings = load_settings(host=host, port=port, model=model, no_auth=no_auth or None)
        check_exposure(settings)
        check_port(settings)
        configure_logging(settings.log_level, settings.log_format)
        app = create_app(settings)
        asyncio.run(check_store(settings))
    if notice := _notice(settings):
        logging.getLogger(__name__).warning("what its reviews will say of themselves: %s", notice)
    server = Server(app, settings)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        raise typer.Exit(_NOT_STARTED)
    if server.supervisor.given_up.is_set() and (failure := server.supervisor.failure):
        fail(f"{failure.message} ({failure.code})", _NO_MODEL)


def _silence_the_resource_tracker() -> None:
    """Silence a warning of Python's resource tracker, which would be printed after the reason for
    an exit if the engine's processes have left shared memory behind.
    """
    filters = [os.environ.get("PYTHONWARNINGS"), "ignore:resource_tracker"]
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, filters))


def _notice(settings: Settings) -> str:
    from app.engine.launcher import runs_on_cpu
    from app.engine.models import find_source

    if settings.engine == "upstream":
        return ""
    return find_source(settings.model, cpu=runs_on_cpu()).notice
