"""Ends an attempt at a review: writes the result into its row, and sends the last event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from app.errors import ReviewerError, ShuttingDown, StoreUnavailable
from app.failures import Retry, exhausted, pause_s, policy_of
from app.jobs.events import EventEncoder, JobEvent, Reviewed, StoredEvent, cancelled, pack
from app.jobs.job import Job, StopReason, WorkerContext
from app.jobs.log import EventLog
from app.resources.review import review_resource
from app.review.report import ReviewReport
from app.review.service import Completed, Event, Failed
from app.store.records import Outcome
from app.store.tables import ReviewRow

log = logging.getLogger(__name__)

_RETRY_S = 1.0
"""Pause between two tries to write a result while the store is unavailable."""

Write = Callable[[], Awaitable[bool]]


class ResultWriter:
    """Ends one attempt by one of the moves in :mod:`app.store.states`.

    The result is first written and then sent to followers. If the store is unavailable, followers
    get it at once, and it is written later. If the claim is void, another process has changed the
    review, and nothing is sent: followers read the new state from the row.
    """

    def __init__(self, job: Job, context: WorkerContext, events: EventLog) -> None:
        self.body: str | None = None
        """The completed review's JSON."""
        self.engine_is_away = False
        """Whether the review was requeued because no engine was available."""
        self._job = job
        self._settings = context.settings
        self._queue = context.store.queue
        self._events = events
        self._encoder = EventEncoder(job.claim.attempt)

    def append(self, event: Event) -> None:
        """Send an event other than the last one."""
        self._events.append(event, self._encoder.encode(event))

    async def end(self, last: Completed | Failed) -> None:
        match last:
            case Completed(report=report):
                await self._complete(report)
            case Failed(error=error) if self._job.row:
                await self._retry(self._job.row, error)
            case Failed(error=error):
                await self._fail(error)

    async def end_stopped(self, reason: StopReason) -> None:
        claim, background = self._job.claim, self._job.background
        if reason is StopReason.CANCELLED:
            self.append(Failed(cancelled()))
            await self._write(self._unless_discarded(lambda: self._queue.cancel(claim)))
        elif reason is StopReason.SHUTDOWN and background:
            await self._write(lambda: self._queue.requeue(claim))
        elif reason is StopReason.SHUTDOWN:
            await self._fail(ShuttingDown("The service has stopped before this was finished."))

    async def _retry(self, row: ReviewRow, error: ReviewerError) -> None:
        """Requeue the review, unless ``app.failures`` says that it would fail again."""
        claim, retry = self._job.claim, policy_of(error).retry
        if retry is Retry.NEVER:
            await self._fail(error)
        elif retry is Retry.WHEN_BACK:
            self.engine_is_away = True
            await self._write(lambda: self._queue.requeue(claim))
        elif retry is Retry.ALONE and not row.suspect:
            await self._write(lambda: self._queue.requeue(claim, suspect=True))
        else:
            await self._count_failure(row, error, suspect=retry is Retry.ALONE)

    async def _count_failure(self, row: ReviewRow, error: ReviewerError, *, suspect: bool) -> None:
        most, failed = self._settings.max_attempts, row.failed_attempts + 1
        if failed >= most:
            await self._fail(exhausted(most, error.message) if suspect else error)
            return
        pause = pause_s(failed)
        log.warning("a review failed (%s); next attempt in %.0f s or later", error.code, pause)
        await self._write(
            lambda: self._queue.requeue(
                self._job.claim, failed=True, suspect=suspect, pause_s=pause
            )
        )

    async def _complete(self, report: ReviewReport) -> None:
        reviewed, body, packed, last = await asyncio.to_thread(self._encoded, report)
        self.body = body
        outcome = Outcome(
            review=body,
            events=packed,
            title=report.paper.title.replace("\0", ""),
            sha256=report.paper.sha256,
            decision=report.verdict.decision,
            probability=report.verdict.probability,
        )
        write = self._unless_discarded(lambda: self._queue.complete(self._job.claim, outcome))
        await self._write(write, reviewed, [last])

    def _encoded(self, report: ReviewReport) -> tuple[Reviewed, str, bytes, StoredEvent]:
        """Encode the result. Takes milliseconds: call it in a thread."""
        review = review_resource(report, background=self._job.background)
        body = review.model_dump_json()
        last = self._encoder.encode_completed(body)
        return Reviewed(review), body, pack([*self._events.encoded, last]), last

    async def _fail(self, error: ReviewerError) -> None:
        event = Failed(error)
        encoded = self._encoder.encode(event)
        packed = pack([*self._events.encoded, *encoded])
        write = self._unless_discarded(lambda: self._queue.fail(self._job.claim, error, packed))
        await self._write(write, event, encoded)

    def _unless_discarded(self, write: Write) -> Write:
        """Delete the row instead if the service keeps no reviews."""
        if self._settings.keeps_reviews:
            return write
        return lambda: self._queue.discard(self._job.claim)

    async def _write(
        self, write: Write, last: JobEvent | None = None, encoded: Sequence[StoredEvent] = ()
    ) -> None:
        """Write, then send the last event if there is one."""
        try:
            written = await write()
        except StoreUnavailable as error:
            log.warning("a review's result is not written yet: %s", error.code)
            if last:
                self._events.append(last, encoded)
            self._events.close()
            await _write_later(write)
            return
        if last and written:
            self._events.append(last, encoded)


async def _write_later(write: Write) -> None:
    while True:
        await asyncio.sleep(_RETRY_S)
        try:
            await write()
        except StoreUnavailable:
            continue
        return
