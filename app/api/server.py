"""uvicorn with a shutdown in steps: first not ready, then no new connections, then aborted."""

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
    """Check that the port is free, before the model is loaded.

    Raises:
        ConfigurationError: the address is not this machine's, or is in use.
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
    """The factory of connections for uvicorn's option ``http``."""
    return partial(BoundedHttpProtocol, limits=ConnectionLimits.of(settings))


class Server(uvicorn.Server):
    """Serves an application of :func:`app.main.create_app` until a signal arrives, or its model
    turns out to be impossible to start.
    """

    def __init__(self, app: FastAPI, settings: Settings, unix_socket: Path | None = None) -> None:
        """With ``unix_socket`` it listens only there, and does not handle signals."""
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                uds=str(unix_socket) if unix_socket else None,
                http=connections(settings),
                ws="none",
                log_config=None,
                # app.api.middleware.access logs requests, without content from the client.
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
        """Called ten times a second; returns whether to stop, also if the model can't be
        started.
        """
        return await super().on_tick(counter) or self.supervisor.given_up.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called after the first signal. SIGINT (Ctrl-C) skips the delay for load balancers."""
        self._stopping.set()
        if signal.SIGINT not in self._captured_signals:
            log.info("stopping: not ready, but still answering for %g s", self._delay_s)
            await asyncio.sleep(self._delay_s)
        await super().shutdown(sockets)
