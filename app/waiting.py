"""Waiting that ends early."""

from __future__ import annotations

import asyncio
import contextlib


async def wait_for(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether it is set: at once, or within so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def end(tasks: list[asyncio.Task[None]], seconds: float) -> None:
    """Let tasks that have been told to end do so; what takes longer is cancelled.

    A task that is cancelled while a database works for it leaves a connection behind that is not
    closed in order.
    """
    if tasks:
        _, stuck = await asyncio.wait(tasks, timeout=seconds)
        for task in stuck:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
