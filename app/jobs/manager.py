"""The operations on reviews behind the routes: submit, follow, get, list, cancel, delete."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.api.schemas.review import Review
from app.errors import (
    InvalidRequest,
    ReviewFinished,
    ReviewNotFound,
    ShuttingDown,
)
from app.jobs.events import (
    EventEncoder,
    JobEvent,
    Reviewed,
    StoredEvent,
    cancelled,
    error_of,
    unpack,
)
from app.jobs.job import CheckedRequest, Job, StopReason, WorkerContext
from app.jobs.log import LogEntry
from app.jobs.registry import RunRegistry
from app.jobs.run import Run
from app.jobs.sources import store_source
from app.jobs.submission import Submission, SubmissionResult, new_review
from app.jobs.workers import Workers
from app.review.service import Accepted, Failed, Writing
from app.store.records import Claim, Filters, Page
from app.store.states import UNFINISHED
from app.store.tables import ReviewRow


class ReviewManager:
    """Accepts reviews and returns them; each tenant can access only its own.

    All methods raise ``StoreUnavailable`` if the store can't be used, and ``ReviewNotFound`` for an
    id that is not one of the tenant's.
    """

    def __init__(self, context: WorkerContext, registry: RunRegistry, workers: Workers) -> None:
        self._context = context
        self._papers = context.store.papers
        self._reviews = context.store.reviews
        self._registry = registry
        self._workers = workers

    async def submit(self, submission: Submission) -> SubmissionResult:
        """Accept a review. It is started at once, or queued if it is a background review.

        Raises:
            InvalidRequest: the parameters are not possible with the model or the settings.
            IdempotencyMismatch: the key was used for another request.
            EngineUnavailable: no model is running.
            Overloaded: the queue is full.
        """
        settings, asked = self._context.settings, submission.parameters
        keeps, tenant = settings.keeps_reviews, submission.tenant
        if asked.background and not keeps:
            raise InvalidRequest(
                "This service keeps no reviews, so none can be made in the background.",
                param="background",
                code="background_not_kept",
            )
        prepared = self._context.service.prepare(
            asked, submission.answer_format, cache_salt=self._context.cache_salt(tenant)
        )
        source = await asyncio.to_thread(
            store_source,
            submission.source,
            self._papers if keeps else None,
            durable=asked.background,
        )
        new = new_review(submission, prepared, source, keeps=keeps)
        claim = None if asked.background else Claim(new.id, self._workers.owner, 1)
        found = await self._reviews.accept(
            new, claim, lease_s=settings.lease_s, most_queued=settings.max_queued_reviews
        )
        if found:
            return SubmissionResult(
                found.id, tenant, reused=not found.by_key, replayed=found.by_key
            )
        if claim:
            request = CheckedRequest(prepared, submission.source)
            self._workers.run(Job(claim, new.created, tenant, request))
        else:
            self._workers.wake()
        return SubmissionResult(new.id, tenant)

    async def result(self, submitted: SubmissionResult) -> str:
        """Wait for the completed review; returns its JSON.

        If the call is cancelled, and no other client waits for the review, it is stopped.

        Raises:
            ReviewerError: the review has failed, or was cancelled.
        """
        while run := self._registry.get(submitted.id):
            with run.followed():
                match await run.events.last():
                    case Reviewed() if run.result.body:
                        return run.result.body
                    case Failed(error=error):
                        raise error
            await _written(run)
        review = await self.review(submitted)
        return await asyncio.to_thread(review.model_dump_json)

    async def review(self, submitted: SubmissionResult) -> Review:
        """Like :meth:`result`, as an object."""
        try:
            async with aclosing(self.events(submitted)) as events:
                async for event in events:
                    match event:
                        case Reviewed(review=review):
                            return review
                        case Failed(error=error):
                            raise error
        except ReviewNotFound:  # deleted since it was submitted
            raise cancelled() from None
        raise AssertionError("events end with Reviewed or Failed")

    async def events(self, submitted: SubmissionResult) -> AsyncGenerator[JobEvent, None]:
        """The review's events. If it had ended before, its whole text is one event."""
        async with aclosing(self._follow(submitted.id, submitted.tenant)) as found:
            async for one in found:
                if isinstance(one, ReviewRow):
                    for event in _events_of(one, reused=submitted.reused):
                        yield event
                    return
                yield one.event
                if one.is_last:
                    return
        yield Failed(ShuttingDown("The service is stopping."))

    async def stream(
        self, review_id: str, tenant: str, after: int = -1
    ) -> AsyncGenerator[StoredEvent, None]:
        """The encoded events after the number ``after``; they end early if the service stops."""
        async with aclosing(self._follow(review_id, tenant)) as found:
            async for one in found:
                encoded = unpack(one) if isinstance(one, ReviewRow) else one.encoded
                for event in encoded:
                    if event.number > after:
                        after = event.number
                        yield event

    async def _follow(
        self, review_id: str, tenant: str
    ) -> AsyncGenerator[LogEntry | ReviewRow, None]:
        """The events of each attempt in this process; the row if the review ends in another way.

        If the generator is closed early, and no other client waits for the review, it is stopped.
        It ends without a last event if the service stops.
        """
        attempt = 0
        while True:
            run = self._registry.get(review_id)
            if run and run.job.tenant == tenant:
                attempt = run.job.claim.attempt
                with run.followed():
                    async with aclosing(run.events.follow()) as entries:
                        async for entry in entries:
                            yield entry
                            if entry.is_last:
                                return
                await _written(run)
                continue
            try:
                row = await self._reviews.get(review_id, tenant, whole=True)
            except ReviewNotFound:
                if not attempt:
                    raise
                yield _deleted(attempt)
                return
            if row.status not in UNFINISHED:
                yield row
                return
            if self._registry.closed:
                return
            await self._registry.wait_for_change(review_id)

    async def get(self, review_id: str, tenant: str, wait_s: float = 0.0) -> ReviewRow:
        """The whole row, once the review has ended, but at most after ``wait_s`` seconds."""
        row = await self._reviews.get(review_id, tenant, whole=True)
        ends = time.monotonic() + wait_s
        while row.status in UNFINISHED and not self._registry.closed:
            left = ends - time.monotonic()
            if left <= 0:
                break
            await self._registry.wait_for_change(review_id, left)
            row = await self._reviews.get(review_id, tenant, whole=True)
        return row

    async def ahead_of(self, row: ReviewRow) -> int | None:
        """Number of reviews that are to be started before this one, if it is queued."""
        return await self._reviews.ahead_of(row) if row.status == "queued" else None

    async def page(
        self, tenant: str, filters: Filters, *, limit: int, newest_first: bool, cursor: str | None
    ) -> Page:
        return await self._reviews.page(
            tenant, filters, limit=limit, newest_first=newest_first, cursor=cursor
        )

    async def cancel(self, review_id: str, tenant: str) -> ReviewRow:
        """Cancel a review that has not ended.

        Raises:
            ReviewFinished: it was completed, or has failed.
        """
        row = await self._reviews.cancel(review_id, tenant)
        if row.status != "cancelled":
            raise ReviewFinished(f"The review is {row.status} already.", param="review_id")
        self._stop(review_id)
        return row

    async def delete(self, review_id: str, tenant: str) -> None:
        """Delete a review and its paper; a running attempt is stopped."""
        await self._reviews.delete(review_id, tenant)
        self._stop(review_id)

    def _stop(self, review_id: str) -> None:
        if run := self._registry.get(review_id):
            run.stop(StopReason.CANCELLED)
        self._registry.notify(review_id)


async def _written(run: Run) -> None:
    """Wait until a run that ended without a last event has written the review's new state."""
    await asyncio.wait([run.task])


def _deleted(attempt: int) -> LogEntry:
    """The last event for followers of a review that was deleted through another process."""
    event = Failed(cancelled())
    return LogEntry(event, EventEncoder(attempt).encode(event))


def _events_of(row: ReviewRow, *, reused: bool) -> list[JobEvent]:
    """The events of a review that has ended."""
    if row.status != "completed" or row.review is None:
        return [Failed(error_of(row))]
    review = Review.model_validate_json(row.review).model_copy(update={"reused": reused})
    return [
        Accepted(review.id, review.created, review.model, (), None),
        Writing(0, review.text),
        Reviewed(review),
    ]
