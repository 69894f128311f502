"""A running attempt at a review, in its own task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager

from app.errors import StoreUnavailable
from app.jobs.job import CheckedRequest, Job, StopReason, WorkerContext
from app.jobs.log import EventLog
from app.jobs.result import ResultWriter
from app.jobs.sources import read_source
from app.jobs.stored_request import read_parameters
from app.observability.instrument import instrumented
from app.review.service import (
    Completed,
    Event,
    Failed,
    Fetched,
    Prompted,
    with_failure,
)
from app.store.papers import sha256_of

log = logging.getLogger(__name__)


class Run:
    """Makes a review, and writes the result."""

    def __init__(self, job: Job, context: WorkerContext) -> None:
        self.job = job
        self.events = EventLog()
        self.result = ResultWriter(job, context, self.events)
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._stopped: StopReason | None = None
        self._begun, self._making = False, True
        self._followers = 0

    def start(self, on_end: Callable[[], None]) -> None:
        """Start the task; ``on_end`` is called when it has ended."""
        self._task = asyncio.create_task(self._work(on_end), name=self.job.claim.id)

    @property
    def task(self) -> asyncio.Task[None]:
        assert self._task  # noqa: S101  # it has been started
        return self._task

    def stop(self, reason: StopReason) -> None:
        """Abort the work, unless only the result has to be written."""
        if self._making and self._stopped is None:
            self._stopped = reason
            if self._begun:  # a task that is cancelled before it begins never runs
                self.task.cancel()

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Hold while a client waits. A review that is not in the background is stopped when its
        last client leaves.
        """
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1
            if not self._followers and not self.job.background:
                self.stop(StopReason.CANCELLED)

    async def _work(self, on_end: Callable[[], None]) -> None:
        self._begun = True
        try:
            last = None if self._stopped else await self._make()
            self._making = False
            if last:
                await self.result.end(last)
            elif self._stopped:
                await self.result.end_stopped(self._stopped)
        finally:
            self.events.close()
            on_end()

    async def _make(self) -> Completed | Failed | None:
        """The last event; None if the work was stopped."""
        last: Completed | Failed | None = None
        try:
            async with aclosing(with_failure(self._service_events())) as events:
                async for event in events:
                    if isinstance(event, Completed | Failed):
                        last = event
                    else:
                        self.result.append(event)
        except asyncio.CancelledError:
            if self._stopped is None:
                raise  # not cancelled by stop(): the event loop is closing
            return None
        return last

    async def _service_events(self) -> AsyncGenerator[Event, None]:
        context = self._context
        request = self.job.request or await self._stored_request()
        making = context.service.events(request.prepared, request.source, self.job.created)
        async with (
            AsyncExitStack() as turn,
            aclosing(instrumented(making, context.metrics, context.traces)) as events,
        ):
            async for event in events:
                if isinstance(event, Fetched) and context.settings.keeps_reviews:
                    await self._keep(event)
                yield event
                if isinstance(event, Prompted) and not self.job.suspect:
                    # A suspect has the engine to itself already.
                    await turn.enter_async_context(context.supervisor.gate.shared())
                    context.supervisor.check_running(request.prepared.engine)

    async def _stored_request(self) -> CheckedRequest:
        """The background review's request, read from the store.

        Raises:
            ReviewerError: it can't be read, or is not possible with the current model.
        """
        row, context = self.job.row, self._context
        assert row is not None  # noqa: S101  # or there is a request
        source = await asyncio.to_thread(read_source, row, context.store.papers)
        prepared = context.service.prepare(
            read_parameters(row.parameters),
            row.answer_format,
            review_id=row.id,
            cache_salt=context.cache_salt(row.tenant),
        )
        return CheckedRequest(prepared, source)

    async def _keep(self, event: Fetched) -> None:
        data = event.file.data
        blob_sha256 = await asyncio.to_thread(sha256_of, data)
        try:
            await self._context.store.queue.keep_paper(
                self.job.claim, blob_sha256, event.file.name, data
            )
        except StoreUnavailable as error:
            log.warning("a fetched paper was not stored: %s", error.code)
