"""Starts a private service for the duration of a command.

It is the application that ``reviewer serve`` runs, behind a Unix socket in a temporary folder that
only this user may enter: no port, no key, out of other users' reach. It runs in the command's own
process, so it can't outlive the command, however that ends. The processes that it starts can't
either: the kernel ends those that read papers (``app.paper.worker``), and the engine's watch their
parent (``app.engine.lifetime``).

It stores nothing (``retention`` is ``none``), so a command that is killed leaves no paper and no
review behind, only an empty folder; what a batch has done is in its output file. The user's own
data folder is left alone: a second process on it would take up the background reviews of a service
that runs there, perhaps with another model.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from app.api.server import Server
from app.cli.client.api import ApiClient, Endpoint
from app.engine.supervisor import Supervisor
from app.errors import ConfigurationError, ReviewerError
from app.main import create_app
from app.settings import Settings

_URL = "http://reviewer"
"""The name in the Host header; the connection goes to the socket."""
_LONGEST_PATH = 100
"""Of a Unix socket, in bytes: Linux takes 107, macOS 103."""
_STOP_S = 5
"""For requests that still run when the command is done: their client has gone already."""


@asynccontextmanager
async def own_service(settings: Settings, connections: int) -> AsyncGenerator[ApiClient, None]:
    """A client of a service with these settings, once the model has answered.

    Raises:
        ConfigurationError: the settings can't work.
        ModelNotStarted: the model did not start; or, while the service is used, it has died, and
            can't be started again.
    """
    with tempfile.TemporaryDirectory(prefix="reviewer-") as folder:
        socket = Path(folder, "socket")
        if len(bytes(socket)) > _LONGEST_PATH:
            raise ConfigurationError(
                f"the path of the folder for temporary files is too long for a socket: {folder}; "
                "set TMPDIR to a shorter one"
            )
        private = _private(settings, Path(folder), connections)
        server = Server(create_app(private), private, socket)
        serving = asyncio.create_task(_serve(server))
        try:
            await server.listening.wait()
            if serving.done():
                await serving
            await server.supervisor.ready()
            async with (
                _until_given_up(server.supervisor),
                ApiClient(Endpoint(_URL, socket=socket), connections) as client,
            ):
                yield client
        finally:
            server.should_exit = True
            await asyncio.wait([serving])


@asynccontextmanager
async def _until_given_up(supervisor: Supervisor) -> AsyncGenerator[None, None]:
    """Cancels the code in the context when the supervisor gives up starting the model.

    Raises:
        ModelNotStarted: it has given up.
    """

    async def watch() -> None:
        await supervisor.given_up.wait()
        supervisor.check()

    try:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch())
            yield
            watching.cancel()
    except ExceptionGroup as group:
        # The first error: the supervisor's, or one that was raised in the context.
        raise group.exceptions[0] from None


def _private(settings: Settings, folder: Path, connections: int) -> Settings:
    """The user's settings without those for a public service."""
    return settings.model_copy(
        update={
            "api_keys": {},
            "api_keys_file": None,
            "rate_limit_rpm": None,
            "max_reviews_per_key": None,
            "max_reviews": max(settings.max_reviews, connections),
            "data_dir": folder,
            "database_url": None,
            "retention": "none",
            "shutdown_delay_s": 0,
            "shutdown_grace_s": _STOP_S,
        }
    )


async def _serve(server: Server) -> None:
    try:
        await server.serve()
    except SystemExit as error:  # raised by uvicorn if the application does not start
        raise ReviewerError("the command's own service did not start") from error
    finally:
        server.listening.set()
