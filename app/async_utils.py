"""What asyncio lacks: waits with an end, and work that ends when its client hangs up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from starlette.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The client hung up; there is nobody to answer."""


async def cancel_on_disconnect(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled when the client hangs up.

    ``receive`` is the request's ASGI channel, its body already read.

    Raises:
        ClientGone: the client hung up first.
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
    """Wait until the client has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def finished(work: Coroutine[Any, Any, None]) -> None:
    """Wait until ``work`` has ended, also if the waiting task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)


async def wait_for(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether it is set: at once, or within so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def end(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Wait until tasks that were asked to end have done so; what takes longer is cancelled.

    A task that is cancelled while a database works for it leaves a connection behind that is not
    closed in order.
    """
    if tasks:
        _, stuck = await asyncio.wait(tasks, timeout=seconds)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
