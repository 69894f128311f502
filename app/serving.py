"""uvicorn, which on SIGTERM first lets the service finish its work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    import socket
    from types import FrameType


class Server(uvicorn.Server):
    """Told to stop, it calls ``drain`` while it still answers, readiness among the rest, and only
    then closes its sockets. Told again, it stops at once.
    """

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain
        self._loop: asyncio.AbstractEventLoop | None = None
        self._draining: asyncio.Task[None] | None = None
        self._told = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._told or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self._told = True
        self._loop.call_soon_threadsafe(self._begin, sig)

    def _begin(self, sig: int) -> None:
        self._draining = asyncio.create_task(self._drain_and_exit(sig))

    async def _drain_and_exit(self, sig: int) -> None:
        try:
            await self._drain()
        finally:
            super().handle_exit(sig, None)
