"""Background tasks that the service needs. Failures in them are retried; if a task ends anyway,
``/livez`` fails, so that the process manager restarts the service.
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
"""Pause between a failure and the next try."""


class EssentialTasks:
    """The tasks of one component."""

    def __init__(self) -> None:
        self._ended: list[str] = []

    def check(self) -> None:
        """Check that all tasks are running.

        Raises:
            TaskEnded: a task has ended too early.
        """
        if self._ended:
            raise TaskEnded(f"The service can't go on: its {', '.join(self._ended)} has ended.")

    def start(
        self, name: str, work: Coroutine[Any, Any, None], until: asyncio.Event
    ) -> asyncio.Task[None]:
        """Run ``work`` in a task that must not end before ``until`` is set."""
        task = asyncio.create_task(work, name=name)

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if until.is_set():
                return
            self._ended.append(name)
            log.critical("%s has ended; /livez fails from now on", name, exc_info=error)

        task.add_done_callback(ended)
        return task


async def repeat(work: Callable[[], Awaitable[None]], every_s: float, until: asyncio.Event) -> None:
    """Call ``work`` every ``every_s`` seconds until ``until`` is set. Errors are logged."""
    while not until.is_set():
        try:
            await work()
        except StoreUnavailable:
            await wait_for(until, _AGAIN_S)
        except Exception:
            # If this ended, claims would expire and the queue would stop without notice.
            log.exception("a background task failed; going on")
            await wait_for(until, _AGAIN_S)
        else:
            await wait_for(until, every_s)
