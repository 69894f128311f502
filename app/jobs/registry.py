"""The runs of this process, and notifications for clients that wait for a review."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection

from app.async_utils import wait_for
from app.jobs.job import Job, WorkerContext
from app.jobs.run import Run

POLL_S = 1.0
"""Interval at which changes by other processes are polled."""


class RunRegistry:
    """Runs by review id. Waiters are notified at once of changes in this process, and within a
    second of changes by other processes.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._runs: dict[str, Run] = {}
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.closed = False
        """Whether the service is stopping; waiting then ends immediately."""

    @property
    def runs(self) -> Collection[Run]:
        return tuple(self._runs.values())

    def get(self, review_id: str) -> Run | None:
        return self._runs.get(review_id)

    def start(self, job: Job) -> Run:
        """Start an attempt that has been claimed."""
        run, review_id = Run(job, self._context), job.claim.id

        def ended() -> None:
            if self._runs.get(review_id) is run:
                del self._runs[review_id]
            self.notify(review_id)

        self._runs[review_id] = run
        run.start(ended)
        self.notify(review_id)
        return run

    async def wait_for_change(self, review_id: str, timeout_s: float | None = None) -> None:
        """Wait until an attempt begins or ends in this process, or the review ends anywhere."""
        if self.closed:
            return
        changed = asyncio.Event()
        self._waiting[review_id].add(changed)
        try:
            await wait_for(changed, timeout_s)
        finally:
            self._waiting[review_id].discard(changed)
            if not self._waiting[review_id]:
                del self._waiting[review_id]

    def notify(self, review_id: str) -> None:
        for waiting in self._waiting.get(review_id, ()):
            waiting.set()

    def close(self) -> None:
        self.closed = True
        for review_id in self._waiting:
            self.notify(review_id)

    async def poll(self) -> None:
        """Query the reviews that have waiters here and are made by other processes."""
        elsewhere = self._waiting.keys() - self._runs.keys()
        if elsewhere:
            for review_id in await self._context.store.reviews.finished_among(elsewhere):
                self.notify(review_id)
