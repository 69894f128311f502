"""A shared/exclusive lock for the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class EngineGate:
    """Admits requests to the engine side by side, or one request alone.

    Requests are admitted in the order of their arrival, so none waits forever.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def shared(self) -> AsyncGenerator[None, None]:
        """Enter beside other shared requests."""
        async with self._turn:
            self._inside += 1
            self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    @asynccontextmanager
    async def alone(self, within_s: float) -> AsyncGenerator[None, None]:
        """Enter once all other requests have left; requests that arrive meanwhile wait.

        Raises:
            TimeoutError: a request is still inside after ``within_s`` seconds. The waiting requests
                are admitted then.
        """
        async with self._turn:
            async with asyncio.timeout(within_s):
                await self._empty.wait()
            yield
