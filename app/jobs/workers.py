"""Works through the queue in the service's own process, and gives signs of life."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections import Counter
from collections.abc import Collection

from app.errors import StoreUnavailable
from app.jobs.board import LOOK_S
from app.jobs.run import Ending, Job, Run, Workplace
from app.places import Places
from app.store.records import Claim
from app.store.storage import Storage
from app.store.tables import ReviewRow
from app.tasks import EssentialTasks, repeat
from app.waiting import end, wait_for

log = logging.getLogger(__name__)

_CLOSING_S = 5.0
"""For writing down that reviews were stopped."""


class Workers:
    """Claims background reviews, some at a time, and keeps the claims of all that run here."""

    def __init__(
        self,
        place: Workplace,
        storage: Storage,
        places: Places,
        stopping: asyncio.Event,
    ) -> None:
        """``stopping`` is set when the service has been told to end."""
        self.owner = uuid.uuid4().hex
        """This process, as its claims name it."""
        self._place = place
        self._supervisor = place.supervisor
        self._storage = storage
        self._places = places
        self._work = asyncio.Event()
        self._stopping = stopping
        self._done = asyncio.Event()
        """Set once nothing runs here any more."""
        self.tasks = EssentialTasks()
        self._claiming: list[asyncio.Task[None]] = []
        self._keeping: list[asyncio.Task[None]] = []
        self._others_have_until = 0.0
        """By the loop's clock; until then no other process is taken for dead."""
        self._ends = math.inf
        """When what runs has to be finished, once that is known, by the loop's clock."""

    def start(self) -> None:
        board, sign_s = self._place.board, self._place.settings.lease_s / 3
        stopping, done, start = self._stopping, self._done, self.tasks.start
        self._claiming = [
            start("claiming of reviews", repeat(self._claim, 0, stopping), stopping),
            start("wait for the service's end", self._retire(), stopping),
        ]
        self._keeping = [
            start("renewal of claims", repeat(self._keep_alive, sign_s, done), done),
            start("look at other processes' reviews", repeat(board.look, LOOK_S, done), done),
        ]

    def wake(self) -> None:
        """There is something in the queue, or room to take it on."""
        self._work.set()

    async def _retire(self) -> None:
        """Once the service is to end: claim nothing more, and let nobody wait for what may come."""
        await self._stopping.wait()
        settings = self._place.settings
        grace_s = settings.shutdown_delay_s + settings.shutdown_grace_s
        self._ends = asyncio.get_running_loop().time() + grace_s
        self._work.set()
        self._place.board.close()

    async def stop(self) -> None:
        """Let what runs finish while there is time; the rest goes back to the queue.

        A client that still waits gets an error.
        """
        self._stopping.set()
        await end(self._claiming, _CLOSING_S)
        board = self._place.board
        running = [run.task for run in board.runs.values()]
        if running:
            left = max(0.0, self._ends - asyncio.get_running_loop().time())
            log.info("stopping: %d reviews have %.0f s left", len(running), left)
            await asyncio.wait(running, timeout=left)
        for run in tuple(board.runs.values()):
            run.stop(Ending.STOPPING)
        unfinished = [run.task for run in board.runs.values()]
        if unfinished:
            _, stuck = await asyncio.wait(unfinished, timeout=_CLOSING_S)
            for task in stuck:  # the store is away: the claims will run out
                task.cancel()
        self._done.set()
        await end(self._keeping, _CLOSING_S)

    async def _claim(self) -> None:
        settings, store = self._place.settings, self._place.store
        self._work.clear()
        running = Counter(
            run.job.tenant for run in self._place.board.runs.values() if run.job.background
        )
        if running.total() < settings.background_reviews and self._is_ready():
            without = self._places.busy(running)
            row = await store.claim(self.owner, settings.lease_s, without=without)
            if row:
                self._begin(row)
                return
            if await store.suspects_wait(without):
                await self._try_suspect(without)
                return
        await wait_for(self._work, LOOK_S)

    def _is_ready(self) -> bool:
        """Whether a review that is begun now can be made and written down."""
        return not (self._supervisor.unready or self._storage.unready)

    async def _try_suspect(self, without: Collection[str]) -> None:
        """Once the engine is empty and in good health: if it dies again, everybody knows why."""
        store, settings = self._place.store, self._place.settings
        async with self._supervisor.gate.alone():
            if self._stopping.is_set() or not await self._supervisor.answers():
                await wait_for(self._stopping, LOOK_S)
                return
            row = await store.claim(self.owner, settings.lease_s, without=without, alone=True)
            if row:
                await self._over(self._begin(row))

    async def _over(self, run: Run) -> None:
        """Wait until it has ended, or the service is to end."""
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((run.task, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    def _begin(self, row: ReviewRow) -> Run:
        if row.attempt == 1:
            self._place.metrics.background_wait.observe(max(0.0, time.time() - row.created))
        return self.run(
            Job(
                claim=Claim(row.id, self.owner, row.attempt),
                created=row.created,
                tenant=row.tenant,
                row=row,
            )
        )

    def run(self, job: Job) -> Run:
        """Begin what has been claimed."""
        run = Run(job, self._place)

        def ended(_: object) -> None:
            # Where the engine can't take it now, there is no hurry to try the next one.
            if job.background and not run.returned:
                self.wake()

        run.task.add_done_callback(ended)
        return run

    async def _keep_alive(self) -> None:
        """Renew our claims, then end those of the dead: never the other way round.

        Where the store was away nobody could renew, and ours may have run out like theirs. They
        get the time to renew them first.
        """
        loop, settings = asyncio.get_running_loop(), self._place.settings
        try:
            await self._renew()
            if loop.time() >= self._others_have_until:
                await self._expire()
        except StoreUnavailable:
            self._others_have_until = loop.time() + settings.lease_s
            raise

    async def _renew(self) -> None:
        runs = {run.job.claim: run for run in self._place.board.runs.values()}
        if runs:
            for claim in await self._place.store.renew(runs.keys(), self._place.settings.lease_s):
                runs[claim].stop(Ending.TAKEN)

    async def _expire(self) -> None:
        settings = self._place.settings
        for review_id in await self._place.store.expire(settings.lease_s, settings.max_attempts):
            self._place.board.changed(review_id)
