"""A cache of what takes long to make, limited in bytes."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable

from app.errors import Overloaded

_MOST_AT_ONCE = 64
"""Most values that are being made or waited for; requests beyond get a 503."""


class ByteCache:
    """Keeps the values that were used last, up to ``most_bytes`` in all.

    A value that several callers want at once is made once. It is made to its end even if they all
    leave, as cancelling it would end the worker process that makes it.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._values: OrderedDict[Hashable, bytes] = OrderedDict()
        self._making: dict[Hashable, asyncio.Task[bytes]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """The value of ``key``, made by ``make`` unless it is kept. Raises what ``make`` raises.

        Raises:
            Overloaded: too many values are being made.
        """
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        if key not in self._making:
            if len(self._making) >= _MOST_AT_ONCE:
                raise Overloaded("Too many pages are being drawn; try again.")
            task = asyncio.ensure_future(self._made(key, make))
            self._making[key] = task
            task.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(self._making[key])

    async def _made(self, key: Hashable, make: Callable[[], Awaitable[bytes]]) -> bytes:
        value = await make()
        self._values[key] = value
        self._bytes += len(value)
        while self._bytes > self._most_bytes:
            _, oldest = self._values.popitem(last=False)
            self._bytes -= len(oldest)
        return value

    def _end(self, key: Hashable, task: asyncio.Task[bytes]) -> None:
        del self._making[key]
        if not task.cancelled():
            task.exception()  # looked at, also if no caller is left to raise it to
