"""Who may be in the engine beside whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class EngineGate:
    """Lets requests into the engine side by side, and now and then one that has to be alone.

    Turns are taken in the order in which they were asked for: nobody waits for ever.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @asynccontextmanager
    async def shared(self) -> AsyncGenerator[None, None]:
        """In the engine beside others."""
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
        """Once all who are inside have left; whoever asks in the meantime waits.

        Raises:
            TimeoutError: somebody is still inside after ``within_s`` seconds. Others may enter.
        """
        async with self._turn:
            async with asyncio.timeout(within_s):
                await self._empty.wait()
            yield
