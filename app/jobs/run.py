"""One attempt at a review, from its claim to what is written down of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from app.engine.supervisor import Supervisor
from app.errors import ReviewerError, ShuttingDown, StoreUnavailable
from app.failures import Retry, exhausted, pause_s, policy_of
from app.jobs.board import Board
from app.jobs.log import Log
from app.jobs.sources import restored
from app.jobs.stored_request import read_parameters
from app.jobs.telling import Teller, Told, cancelled, pack
from app.observability.metrics import Metrics
from app.observability.tracing import Traces
from app.observability.watch import watched
from app.paper.sources import Source
from app.review.service import (
    Completed,
    Event,
    Failed,
    Fetched,
    Prepared,
    Prompted,
    ReviewService,
    with_failure,
)
from app.schemas.review import Review
from app.settings import Settings
from app.store.papers import address
from app.store.records import Claim, Outcome
from app.store.store import Store
from app.store.tables import ReviewRow

log = logging.getLogger(__name__)

_AGAIN_S = 1.0
"""Between two tries to write a result down while the store is away."""


class Ending(Enum):
    """Why work on a review stops before it is done."""

    CANCELLED = auto()
    """Nobody wants it any more; the row may know already, or be gone."""
    TAKEN = auto()
    """The claim is void: cancelled or deleted by way of another process, or begun again there."""
    STOPPING = auto()
    """The service ends."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """What all runs of a process share."""

    settings: Settings
    store: Store
    supervisor: Supervisor
    service: ReviewService
    board: Board
    salt_of: Callable[[str], str | None]
    """The cache salt of a tenant."""
    metrics: Metrics
    traces: Traces


@dataclass(frozen=True, slots=True)
class Request:
    """What a review is to be made of, checked and at hand."""

    prepared: Prepared
    source: Source


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done.

    Of a background review there is its ``row`` alone: paper and parameters are read as the first
    step of the work, so that what goes wrong in it ends as every other failure does. Where a client
    waits, its ``request`` is at hand.
    """

    claim: Claim
    created: float
    tenant: str
    request: Request | None = None
    row: ReviewRow | None = None

    @property
    def background(self) -> bool:
        return self.row is not None

    @property
    def suspect(self) -> bool:
        """Whether it is tried alone; see ``app.failures``."""
        return self.row is not None and self.row.suspect


class Run:
    """Works in a task of its own. Those who wait for it follow ``events`` or ``told``."""

    def __init__(self, job: Job, place: Workplace) -> None:
        self.job = job
        self.events: Log[Event] = Log()
        self.told: Log[Told] = Log()
        self.body: str | None = None
        """The finished review's JSON, once it is known."""
        self.returned = False
        """Whether it went back to the queue because the engine could not take it."""
        self._place = place
        self._store = place.store
        self._teller = Teller(job.claim.attempt)
        self._ending: Ending | None = None
        self._making = True
        self._watchers = 0
        place.board.runs[job.claim.id] = self
        self.task = asyncio.create_task(self._work(), name=job.claim.id)
        place.board.changed(job.claim.id)

    def stop(self, ending: Ending) -> None:
        """Abort the work, unless it is done and only being written down."""
        if self._making and self._ending is None:
            self._ending = ending
            self.task.cancel()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While somebody waits. When the last one leaves, work that was for them ends."""
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1
            if not self._watchers and not self.job.background:
                self.stop(Ending.CANCELLED)

    async def _work(self) -> None:
        board, review_id = self._place.board, self.job.claim.id
        try:
            last = await self._make()
            self._making = False
            await self._conclude(last)
        finally:
            self._close()
            if board.runs.get(review_id) is self:
                del board.runs[review_id]
            board.changed(review_id)

    async def _make(self) -> Completed | Failed | None:
        """The last event; None where the work was stopped."""
        last: Completed | Failed | None = None
        try:
            async with aclosing(with_failure(self._events())) as events:
                async for event in events:
                    if isinstance(event, Completed | Failed):
                        last = event
                    else:
                        self._tell(event)
        except asyncio.CancelledError:
            if self._ending is None:
                raise  # not by us: the loop is closing
            return None
        return last

    async def _events(self) -> AsyncGenerator[Event, None]:
        place = self._place
        request = self.job.request or await self._stored_request()
        prepared = request.prepared
        making = place.service.events(prepared, request.source, self.job.created)
        async with (
            AsyncExitStack() as turn,
            aclosing(watched(making, place.metrics, place.traces)) as events,
        ):
            async for event in events:
                if isinstance(event, Fetched) and place.settings.keeps_reviews:
                    await self._keep(event)
                yield event
                if isinstance(event, Prompted) and not self.job.suspect:
                    await turn.enter_async_context(place.supervisor.gate.shared())
                    place.supervisor.check_running(prepared.engine)

    async def _stored_request(self) -> Request:
        """
        Raises:
            ReviewerError: it can't be had, for good or now.
        """
        row, place = self.job.row, self._place
        assert row is not None  # noqa: S101  # or there is a request
        source = await asyncio.to_thread(restored, row, self._store.papers)
        prepared = place.service.prepare(
            read_parameters(row.parameters),
            row.answer_format,
            review_id=row.id,
            cache_salt=place.salt_of(row.tenant),
        )
        return Request(prepared, source)

    async def _keep(self, event: Fetched) -> None:
        data = event.file.data
        content = await asyncio.to_thread(address, data)
        try:
            await self._store.keep_paper(self.job.claim, content, event.file.name, data)
        except StoreUnavailable as error:
            log.warning("a fetched paper was not stored: %s", error.code)

    def _tell(self, event: Event) -> None:
        for told in self._teller.tell(event):
            self.told.append(told)
        self.events.append(event)

    def _close(self) -> None:
        self.events.close()
        self.told.close()

    async def _conclude(self, last: Completed | Failed | None) -> None:
        match last:
            case Completed(review=review):
                await self._complete(last, review)
            case Failed(error=error) if self.job.row:
                await self._try_again(self.job.row, error)
            case Failed():
                await self._fail(last)
            case None:
                await self._stopped()

    async def _try_again(self, row: ReviewRow, error: ReviewerError) -> None:
        """Back into the queue, unless that is of no use any more; see ``app.failures``."""
        claim, retry = self.job.claim, policy_of(error).retry
        if retry is Retry.NEVER:
            await self._fail(Failed(error))
        elif retry is Retry.WHEN_BACK:
            self.returned = True
            await self._write(lambda: self._store.give_back(claim))
        elif retry is Retry.ALONE and not row.suspect:
            await self._write(lambda: self._store.give_back(claim, suspect=True))
        else:
            await self._charge(row, error, suspect=retry is Retry.ALONE)

    async def _charge(self, row: ReviewRow, error: ReviewerError, *, suspect: bool) -> None:
        """A failed attempt, and after the last one the end."""
        most, failures = self._place.settings.max_attempts, row.lost + 1
        if failures >= most:
            last = exhausted(most, error.message) if suspect else error
            await self._fail(Failed(last))
            return
        pause = pause_s(failures)
        log.warning("a review failed (%s); again in %.0f s at the earliest", error.code, pause)
        await self._write(
            lambda: self._store.give_back(
                self.job.claim, charged=True, suspect=suspect, pause_s=pause
            )
        )

    async def _complete(self, event: Completed, review: Review) -> None:
        review = review.model_copy(update={"background": self.job.background})
        whole, packed, last = await asyncio.to_thread(self._packed, event, review)
        self.body = whole
        outcome = Outcome(
            review=whole,
            events=packed,
            title=review.paper.title.replace("\0", ""),
            sha256=review.paper.sha256,
            decision=review.verdict.decision,
            probability=review.verdict.probability,
        )

        def tell() -> None:
            self.told.append(last)
            self.events.append(Completed(review))

        await self._write(self._once(lambda: self._store.complete(self.job.claim, outcome)), tell)

    def _packed(self, event: Completed, review: Review) -> tuple[str, bytes, Told]:
        """Milliseconds: off the loop."""
        whole = review.model_dump_json()
        last = self._teller.complete(event, whole)
        return whole, pack([*self.told.entries, last]), last

    async def _fail(self, event: Failed) -> None:
        end = list(self._teller.tell(event))
        packed = pack([*self.told.entries, *end])

        def tell() -> None:
            for told in end:
                self.told.append(told)
            self.events.append(event)

        claim = self.job.claim
        await self._write(self._once(lambda: self._store.fail(claim, event.error, packed)), tell)

    async def _stopped(self) -> None:
        claim = self.job.claim
        if self._ending is Ending.CANCELLED:
            self._tell(Failed(cancelled()))
            await self._write(self._once(lambda: self._store.give_up(claim)))
        elif self._ending is Ending.STOPPING and self.job.background:
            await self._write(lambda: self._store.give_back(claim))
        elif self._ending is Ending.STOPPING:
            await self._fail(
                Failed(ShuttingDown("The service has stopped before this was finished."))
            )
        elif not self.job.background:
            self._tell(Failed(cancelled()))

    def _once(self, write: Callable[[], Awaitable[bool]]) -> Callable[[], Awaitable[bool]]:
        """Instead of ``write``, where nothing is kept: forget the row."""
        if self._place.settings.keeps_reviews:
            return write
        return lambda: self._store.forget(self.job.claim)

    async def _write(
        self, write: Callable[[], Awaitable[bool]], tell: Callable[[], None] | None = None
    ) -> None:
        """Write the end down, then tell it; where the store is away, first tell it, then go on
        trying.

        Where the claim is void somebody else has the last word: a client that waits is told that
        the review was cancelled, and one that follows a background review looks at its row.
        """
        try:
            written = await write()
        except StoreUnavailable as error:
            log.warning("a review's end is not written down yet: %s", error.code)
            if tell:
                tell()
            self._close()
            await self._write_later(write)
            return
        if written and tell:
            tell()
        elif tell and not self.job.background:
            self._tell(Failed(cancelled()))

    async def _write_later(self, write: Callable[[], Awaitable[bool]]) -> None:
        while True:
            await asyncio.sleep(_AGAIN_S)
            try:
                await write()
            except StoreUnavailable:
                continue
            return
