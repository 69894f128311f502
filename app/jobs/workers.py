"""Claims queued reviews, makes them in this process, and renews the claims."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections import Counter
from collections.abc import Collection

from app.async_utils import end, wait_for
from app.errors import StoreUnavailable
from app.jobs.concurrency import ConcurrencyLimiter
from app.jobs.job import Job, StopReason, WorkerContext
from app.jobs.registry import POLL_S, RunRegistry
from app.jobs.run import Run
from app.store.records import Claim
from app.store.storage import Storage
from app.store.tables import ReviewRow
from app.tasks import EssentialTasks, repeat

log = logging.getLogger(__name__)

_EMPTY_WITHIN_S = 120.0
"""Most seconds that new requests wait until the engine is empty and a suspect can be tried."""
_LONGEST_ALONE_S = 300.0
"""Most seconds that a suspect has the engine alone; then other requests are admitted again."""
_CLOSING_S = 5.0
"""Most seconds at shutdown for writing that reviews were stopped."""


class Workers:
    """Claims and runs background reviews, and renews the claims of all runs in this process."""

    def __init__(
        self,
        context: WorkerContext,
        registry: RunRegistry,
        storage: Storage,
        limiter: ConcurrencyLimiter,
        stopping: asyncio.Event,
    ) -> None:
        """``stopping`` is set when the service has been asked to stop."""
        self.owner = uuid.uuid4().hex
        """The id of this process in its claims."""
        self._context = context
        self._registry = registry
        self._supervisor = context.supervisor
        self._storage = storage
        self._limiter = limiter
        self._work = asyncio.Event()
        self._stopping = stopping
        self._done = asyncio.Event()
        """Set once no run is left in this process."""
        self.tasks = EssentialTasks()
        self._claiming: list[asyncio.Task[None]] = []
        self._keeping: list[asyncio.Task[None]] = []
        self._expire_from = 0.0
        """Loop time before which no other process counts as dead."""
        self._suspects_from = 0.0
        """Loop time before which no suspect is tried."""
        self._ends = math.inf
        """Loop time by which runs must have finished when the service stops."""

    def start(self) -> None:
        renew_s = self._context.settings.lease_s / 3
        stopping, done, start = self._stopping, self._done, self.tasks.start
        self._claiming = [
            start("claiming of reviews", repeat(self._claim, 0, stopping), stopping),
            start("wait for the service's end", self._begin_shutdown(), stopping),
        ]
        self._keeping = [
            start("renewal of claims", repeat(self._keep_alive, renew_s, done), done),
            start(
                "look at other processes' reviews", repeat(self._registry.poll, POLL_S, done), done
            ),
        ]

    def wake(self) -> None:
        """Check the queue now, because there is a new review or a free worker."""
        self._work.set()

    async def _begin_shutdown(self) -> None:
        """Wait for the request to stop; then end claiming, and the waiting of clients."""
        await self._stopping.wait()
        settings = self._context.settings
        grace_s = settings.shutdown_delay_s + settings.shutdown_grace_s
        self._ends = asyncio.get_running_loop().time() + grace_s
        self._work.set()
        self._registry.close()

    async def stop(self) -> None:
        """Let runs finish in the remaining time; requeue the others.

        Clients that are still waiting get an error.
        """
        self._stopping.set()
        await end(self._claiming, _CLOSING_S)
        running = [run.task for run in self._registry.runs]
        if running:
            left = max(0.0, self._ends - asyncio.get_running_loop().time())
            log.info("stopping: %d reviews have %.0f s left", len(running), left)
            await asyncio.wait(running, timeout=left)
        unfinished = self._registry.runs
        for run in unfinished:
            run.stop(StopReason.SHUTDOWN)
        if unfinished:
            _, stuck = await asyncio.wait([run.task for run in unfinished], timeout=_CLOSING_S)
            for task in stuck:  # the store is unavailable; the claims will expire
                task.cancel()
        self._done.set()
        await end(self._keeping, _CLOSING_S)

    async def _claim(self) -> None:
        settings, queue = self._context.settings, self._context.store.queue
        self._work.clear()
        running = Counter(run.job.tenant for run in self._registry.runs if run.job.background)
        if running.total() < settings.background_reviews and self._is_ready():
            without = self._limiter.busy(running)
            now = asyncio.get_running_loop().time()
            try_suspects = now >= self._suspects_from
            row = await queue.claim(
                self.owner, settings.lease_s, without=without, past_suspects=not try_suspects
            )
            if row:
                self._begin(row)
                return
            if try_suspects and await queue.suspects_wait(without):
                await self._try_suspect(without)
                return
        await wait_for(self._work, POLL_S)

    def _is_ready(self) -> bool:
        """Whether a review could be made and stored now."""
        return not (self._supervisor.unready or self._storage.unready)

    async def _try_suspect(self, without: Collection[str]) -> None:
        """Try a suspect alone, after the engine has answered: if it fails, it is the cause."""
        queue, settings = self._context.store.queue, self._context.settings
        try:
            async with self._supervisor.gate.alone(_EMPTY_WITHIN_S):
                if self._stopping.is_set() or not await self._supervisor.answers():
                    await wait_for(self._stopping, POLL_S)
                    return
                row = await queue.claim(self.owner, settings.lease_s, without=without, alone=True)
                if row:
                    await self._end_of(self._begin(row))
        except TimeoutError:
            log.warning("the engine did not become empty; suspects are tried again later")
            self._suspects_from = asyncio.get_running_loop().time() + _EMPTY_WITHIN_S

    async def _end_of(self, run: Run) -> None:
        """Wait until a suspect's run has ended, its time alone is over, or the service stops."""
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait(
            (run.task, stopping), timeout=_LONGEST_ALONE_S, return_when=asyncio.FIRST_COMPLETED
        )
        stopping.cancel()

    def _begin(self, row: ReviewRow) -> Run:
        if row.attempt == 1:
            self._context.metrics.background_wait.observe(max(0.0, time.time() - row.created))
        return self.run(
            Job(
                claim=Claim(row.id, self.owner, row.attempt),
                created=row.created,
                tenant=row.tenant,
                row=row,
            )
        )

    def run(self, job: Job) -> Run:
        """Start an attempt that has been claimed."""
        run = self._registry.start(job)

        def ended(_: object) -> None:
            # If the engine was unavailable for this one, the next can wait for the next poll.
            if job.background and not run.result.engine_is_away:
                self.wake()

        run.task.add_done_callback(ended)
        return run

    async def _keep_alive(self) -> None:
        """Renew our claims, then expire those of dead processes.

        While the store is unavailable no process can renew its claims. When it is back, all get
        time to do so before any of them counts as dead.
        """
        loop, settings = asyncio.get_running_loop(), self._context.settings
        try:
            await self._renew()
            if loop.time() >= self._expire_from:
                await self._expire()
        except StoreUnavailable:
            self._expire_from = loop.time() + settings.lease_s
            raise

    async def _renew(self) -> None:
        runs = {run.job.claim: run for run in self._registry.runs}
        if runs:
            for claim in await self._context.store.queue.renew(
                runs.keys(), self._context.settings.lease_s
            ):
                runs[claim].stop(StopReason.CLAIM_VOID)

    async def _expire(self) -> None:
        settings = self._context.settings
        for review_id in await self._context.store.queue.expire(
            settings.lease_s, settings.max_attempts
        ):
            self._registry.notify(review_id)
