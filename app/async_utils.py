"""Additions to asyncio: waits with a timeout, and work that is cancelled on disconnect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from starlette.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The client has disconnected."""


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled if the client disconnects.

    ``receive`` is the request's ASGI channel; the body must have been read.

    Raises:
        ClientGone: the client disconnected first.
    """
    working = asyncio.ensure_future(work)
    watching = asyncio.ensure_future(hung_up(receive))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def hung_up(receive: Receive) -> None:
    """Wait until the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def finished(work: Coroutine[Any, Any, None]) -> None:
    """Wait until ``work`` has ended, even if the waiting task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)


async def wait_for(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for ``event``, at most ``seconds``; returns whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def end(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Wait for tasks that were asked to end; after ``seconds`` they are cancelled.

    They are not cancelled at once, because a task that is cancelled during a database call leaves
    a broken connection behind.
    """
    if tasks:
        _, stuck = await asyncio.wait(tasks, timeout=seconds)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
