"""uvicorn, with an end in steps: not ready any more, then no new connections, then no more time."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn

from app.api.http_protocol import BoundedHttpProtocol, ConnectionLimits
from app.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from app.engine.supervisor import Supervisor
    from app.settings import Settings

log = logging.getLogger(__name__)


def check_port(settings: Settings) -> None:
    """To tell at once what uvicorn finds out when the model is being loaded already.

    Raises:
        ConfigurationError: the address is not this machine's, or something listens there.
    """
    host, port = settings.host, settings.port
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationError(
                f"the service can't listen on {host} port {port}: {error.strerror}", param="port"
            ) from error


def connections(settings: Settings) -> Any:
    """uvicorn's ``http``, which it only ever calls to make a connection."""
    return partial(BoundedHttpProtocol, limits=ConnectionLimits.of(settings))


class Server(uvicorn.Server):
    """Serves an application of :func:`app.main.create_app` until a signal ends it, or it turns out
    that its model can't be started.
    """

    def __init__(self, app: FastAPI, settings: Settings, unix_socket: Path | None = None) -> None:
        """With a ``unix_socket`` it listens there alone, and leaves signals to its caller."""
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                uds=str(unix_socket) if unix_socket else None,
                http=connections(settings),
                ws="none",
                log_config=None,
                # app.api.middleware.access logs each request, without what the client chose.
                access_log=False,
                timeout_graceful_shutdown=settings.shutdown_grace_s,
            )
        )
        self.listening = asyncio.Event()
        self._takes_signals = unix_socket is None
        self._stopping: asyncio.Event = app.state.stopping
        self.supervisor: Supervisor = app.state.supervisor
        self._delay_s = settings.shutdown_delay_s

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        with super().capture_signals() if self._takes_signals else nullcontext():
            yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()

    async def on_tick(self, counter: int) -> bool:
        """Whether to end, asked ten times a second: a model that can't be started is no service."""
        return await super().on_tick(counter) or self.supervisor.given_up.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """After the first signal; SIGINT comes from a person, who does not want to wait."""
        self._stopping.set()
        if signal.SIGINT not in self._captured_signals:
            log.info("stopping: not ready any more, and still answering for %g s", self._delay_s)
            await asyncio.sleep(self._delay_s)
        await super().shutdown(sockets)
