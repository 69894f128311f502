"""What happens to a review, for all who follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

T = TypeVar("T")


class Log(Generic[T]):
    """Grows until it is closed. Each follower sees all of it, from its beginning on."""

    def __init__(self) -> None:
        self.entries: list[T] = []
        self._closed = asyncio.Event()
        self._changed = asyncio.Event()

    def append(self, entry: T) -> None:
        self.entries.append(entry)
        self._wake()

    def close(self) -> None:
        self._closed.set()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self) -> AsyncGenerator[T, None]:
        seen = 0
        while True:
            while seen < len(self.entries):
                yield self.entries[seen]
                seen += 1
            if self._closed.is_set():
                return
            await self._changed.wait()

    async def last(self) -> T | None:
        """The entry that it ends with; None where it had none."""
        await self._closed.wait()
        return self.entries[-1] if self.entries else None
