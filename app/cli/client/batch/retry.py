"""Retries of requests, following the policy of ``app.failures``."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.cli.client.api import RequestFailed
from app.errors import ReviewerError
from app.failures import Retry, pause_s

T = TypeVar("T")

MAX_ATTEMPTS = 4
"""Of one request that the service fails on."""
MAX_FAILED_IN_A_ROW = 20
"""Papers in a row that the service may fail on before the run stops."""


class ServiceGone(ReviewerError):
    """The service has been silent for too long, or fails on every paper."""

    code = "service_gone"


class Retries:
    """Retries and time limits of one run, shared by all papers in flight."""

    def __init__(self, patience_s: float, on_wait: Callable[[str | None], None]) -> None:
        """``patience_s``: longest time, in seconds, without an answer to any paper.

        ``on_wait`` is called with what is waited for, and with None once it is over.
        """
        self.patience_s = patience_s
        self._on_wait = on_wait
        self._answered_at = 0.0
        self._failed_in_a_row = 0

    def answered(self) -> None:
        """A paper has been reviewed, or has failed by its own fault: the service works."""
        self._answered_at = time.monotonic()
        self._failed_in_a_row = 0
        self._on_wait(None)

    def failed(self, error: RequestFailed) -> None:
        """The service has failed on a paper for good.

        Raises:
            ServiceGone: it has failed on too many in a row.
        """
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= MAX_FAILED_IN_A_ROW:
            raise ServiceGone(
                f"the service failed on {MAX_FAILED_IN_A_ROW} papers in a row, at last with: "
                f"{error.message}"
            )

    def waiting(self, reason: RequestFailed) -> None:
        """Show why nothing is being reviewed, until a paper has an answer."""
        self._on_wait(f"waiting: {reason.message}")

    async def call(self, request: Callable[[], Awaitable[T]]) -> T:
        """The result of ``request``, which is called again after transient failures.

        Raises:
            RequestFailed: trying again would not help, or has not.
            ServiceGone: the service was away for too long.
        """
        attempts = pauses = 0
        started_at = time.monotonic()
        while True:
            try:
                return await request()
            except RequestFailed as error:
                retry = error.policy.retry
                attempts += retry is not Retry.WHEN_BACK
                if retry is Retry.NEVER or attempts == MAX_ATTEMPTS:
                    raise
                pauses += 1
                await self._pause(error, pauses, started_at)

    def patience_left_s(self, started_at: float) -> float:
        """Seconds until the time limit of a request that started at ``started_at`` (monotonic)."""
        return max(started_at, self._answered_at) + self.patience_s - time.monotonic()

    async def _pause(self, error: RequestFailed, pauses: int, started_at: float) -> None:
        """As long as the service asks for, or longer each time; never beyond the time limit."""
        pause = pause_s(pauses) if error.retry_after_s is None else error.retry_after_s
        # Jitter, so that requests that were refused together are not repeated together.
        pause *= random.uniform(1, 1.25)  # noqa: S311  # no secret
        if error.policy.retry is Retry.WHEN_BACK:
            left = self.patience_left_s(started_at)
            if left <= 0:
                raise ServiceGone(f"no answer for {self.patience_s:g} s: {error.message}")
            pause = min(pause, left)
        self.waiting(error)
        await asyncio.sleep(pause)
