"""The tasks that the service can't do without: what fails in them is tried again, and one that ends
all the same makes ``/livez`` fail, for whoever runs the service to start it anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from app.async_utils import wait_for
from app.errors import StoreUnavailable, TaskEnded

log = logging.getLogger(__name__)

_AGAIN_S = 1.0
"""From a failure to the next try."""


class EssentialTasks:
    """All of one process."""

    def __init__(self) -> None:
        self._ended: list[str] = []

    def check(self) -> None:
        """
        Raises:
            TaskEnded: a task has ended before its time.
        """
        if self._ended:
            raise TaskEnded(f"The service can't go on: its {', '.join(self._ended)} has ended.")

    def start(
        self, name: str, work: Coroutine[Any, Any, None], until: asyncio.Event
    ) -> asyncio.Task[None]:
        """Run ``work`` in a task, which may end once ``until`` is set, and not before."""
        task = asyncio.create_task(work, name=name)

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if until.is_set():
                return
            self._ended.append(name)
            log.critical("%s has ended; /livez fails from now on", name, exc_info=error)

        task.add_done_callback(ended)
        return task


async def repeat(duty: Callable[[], Awaitable[None]], every_s: float, over: asyncio.Event) -> None:
    """Do it again and again until it is over; a failure is logged, and only makes it wait."""
    while not over.is_set():
        try:
            await duty()
        except StoreUnavailable:
            await wait_for(over, _AGAIN_S)
        except Exception:
            # Were it to end, claims would run out and the queue would stand still unseen.
            log.exception("a background duty failed; going on")
            await wait_for(over, _AGAIN_S)
        else:
            await wait_for(over, every_s)
