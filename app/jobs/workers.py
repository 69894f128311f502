"""Works through the queue in the service's own process, and gives signs of life."""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections import Counter

from app.engine.supervisor import Supervisor
from app.errors import PaperNotStored
from app.jobs.board import LOOK_S
from app.jobs.run import Ending, Job, Run, Workplace
from app.jobs.sources import restored
from app.places import Places
from app.schemas.requests import ReviewParameters
from app.store.records import Claim
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
        supervisor: Supervisor,
        places: Places,
        stopping: asyncio.Event,
    ) -> None:
        """``stopping`` is set when the service has been told to end."""
        self.owner = uuid.uuid4().hex
        """This process, as its claims name it."""
        self._place = place
        self._supervisor = supervisor
        self._places = places
        self._work = asyncio.Event()
        self._stopping = stopping
        self._done = asyncio.Event()
        """Set once nothing runs here any more."""
        self.tasks = EssentialTasks()
        self._claiming: list[asyncio.Task[None]] = []
        self._keeping: list[asyncio.Task[None]] = []
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
            start("renewal of claims", repeat(self._renew, sign_s, done), done),
            start("search for lost claims", repeat(self._reap, sign_s, done), done),
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
        if running.total() < settings.background_reviews and not self._supervisor.unready:
            row = await store.claim(
                self.owner,
                settings.lease_s,
                settings.max_attempts,
                without=self._places.busy(running),
            )
            if row:
                await self._begin(row)
                return
        await wait_for(self._work, LOOK_S)

    async def _begin(self, row: ReviewRow) -> None:
        claim = Claim(row.id, self.owner, row.attempt)
        store = self._place.store
        data = await asyncio.to_thread(store.papers.load, row.content) if row.content else None
        try:
            source = restored(row, data)
        except PaperNotStored as error:
            await store.fail(claim, error, None)
            self._place.board.changed(row.id)
            return
        job = Job(
            claim=claim,
            created=row.created,
            tenant=row.tenant,
            background=True,
            source=source,
            parameters=ReviewParameters.model_validate(row.parameters),
            answer_format=row.answer_format,
            lost=row.lost,
        )
        if row.attempt == 1:
            self._place.metrics.background_wait.observe(max(0.0, time.time() - row.created))
        self.run(job)

    def run(self, job: Job) -> Run:
        """Begin what has been claimed."""
        run = Run(job, self._place)

        def ended(_: object) -> None:
            # Where the engine can't take it now, there is no hurry to try the next one.
            if job.background and not run.returned:
                self.wake()

        run.task.add_done_callback(ended)
        return run

    async def _renew(self) -> None:
        runs = {run.job.claim: run for run in self._place.board.runs.values()}
        if runs:
            for claim in await self._place.store.renew(runs.keys(), self._place.settings.lease_s):
                runs[claim].stop(Ending.TAKEN)

    async def _reap(self) -> None:
        for review_id in await self._place.store.reap(self._place.settings.max_attempts):
            self._place.board.changed(review_id)
