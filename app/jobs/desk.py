"""Where reviews are handed in and asked for: the use case behind the routes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from app import __version__
from app.errors import InvalidRequest, PaperNotStored, ReviewFinished, ShuttingDown
from app.jobs.run import Ending, Job, Request, Run, Workplace
from app.jobs.sources import StoredSource, stored
from app.jobs.stored_request import stored_parameters
from app.jobs.telling import Told, error_of, unpack
from app.jobs.workers import Workers
from app.paper.sources import Source
from app.review.service import Accepted, Completed, Event, Failed, Prepared, Writing
from app.schemas.requests import ReviewParameters
from app.schemas.review import Review
from app.store.records import Claim, Filters, NewReview, Page
from app.store.tables import RUNNING, ReviewRow

LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class Submission:
    """A request for a review. ``key`` is the client's Idempotency-Key."""

    source: Source
    parameters: ReviewParameters
    tenant: str
    key: str | None = None
    answer_format: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a client gets for a submission: a review that is new, or was there."""

    id: str
    tenant: str
    reused: bool = False
    replayed: bool = False
    """Whether the client's key stood for it already."""


class Desk:
    """Hands reviews in, and answers for those that are there. All by tenant.

    Every method raises ``StoreUnavailable`` where the store can't be reached, and
    ``ReviewNotFound`` for an id that is not the tenant's.
    """

    def __init__(self, place: Workplace, workers: Workers) -> None:
        self._place = place
        self._store = place.store
        self._board = place.board
        self._workers = workers

    async def submit(self, asked: Submission) -> Ticket:
        """Accept a review: begun at once, or queued where it is a background one.

        Raises:
            InvalidRequest: the parameters don't suit the model or the settings.
            IdempotencyMismatch: the key came with another request.
            EngineUnavailable: no model is running now.
            Overloaded: the queue is full.
        """
        keeps, parameters = self._place.settings.keeps_reviews, asked.parameters
        if parameters.background and not keeps:
            raise InvalidRequest(
                "This service keeps no reviews, so none can be made in the background.",
                param="background",
                code="background_not_kept",
            )
        salt = self._place.salt_of(asked.tenant)
        prepared = self._place.service.prepare(parameters, asked.answer_format, cache_salt=salt)
        source = await asyncio.to_thread(
            stored,
            asked.source,
            self._store.papers if keeps else None,
            durable=parameters.background,
        )
        new = _new_review(asked, prepared, source, keeps=keeps)
        claim = None if parameters.background else Claim(new.id, self._workers.owner, 1)
        settings = self._place.settings
        known = await self._store.accept(
            new, claim, lease_s=settings.lease_s, most_queued=settings.max_queued_reviews
        )
        if known:
            return Ticket(known.id, asked.tenant, reused=not known.by_key, replayed=known.by_key)
        if claim:
            self._workers.run(
                Job(
                    claim=claim,
                    created=new.created,
                    tenant=asked.tenant,
                    request=Request(prepared, asked.source),
                )
            )
        else:
            self._workers.wake()
        return Ticket(new.id, asked.tenant)

    async def result(self, ticket: Ticket) -> str:
        """The finished review's JSON. Who stops waiting for what was made for him ends it.

        Raises:
            ReviewerError: that of the review, or ``ReviewCancelled``.
        """
        while run := self._board.runs.get(ticket.id):
            with run.watched():
                match await run.events.last():
                    case Completed() if run.body:
                        return run.body
                    case Failed(error=error):
                        raise error
            await self._gone(run)
        async with aclosing(self.events(ticket)) as events:
            async for event in events:
                match event:
                    case Completed(review=review):
                        return await asyncio.to_thread(review.model_dump_json)
                    case Failed(error=error):
                        raise error
        raise AssertionError("events end with Completed or Failed")

    async def events(self, ticket: Ticket) -> AsyncGenerator[Event, None]:
        """The review's own events; of one that was there, the text in one piece."""
        while True:
            run = self._board.runs.get(ticket.id)
            if run:
                with run.watched():
                    async with aclosing(run.events.follow()) as events:
                        async for event in events:
                            yield event
                            if isinstance(event, Completed | Failed):
                                return
                await self._gone(run)
                continue
            row = await self._store.get(ticket.id, ticket.tenant, whole=True)
            if row.status not in RUNNING:
                for event in _replayed(row, reused=ticket.reused):
                    yield event
                return
            if self._board.closed:
                yield Failed(ShuttingDown("The service is stopping."))
                return
            await self._board.change(ticket.id)

    async def told(
        self, review_id: str, tenant: str, after: int = -1
    ) -> AsyncGenerator[Told, None]:
        """The events as clients see them, from the number behind ``after`` on, to the last one.

        They end early where the service stops.
        """
        while True:
            run = self._board.runs.get(review_id)
            if run and run.job.tenant == tenant:
                async with aclosing(self._following(run, after)) as following:
                    async for told in following:
                        after = told.number
                        yield told
                        if told.type in ("review.completed", "error"):
                            return
                await self._gone(run)
                continue
            row = await self._store.get(review_id, tenant, whole=True)
            if row.status not in RUNNING:
                for told in unpack(row):
                    if told.number > after:
                        yield told
                return
            if self._board.closed:
                return
            await self._board.change(review_id)

    async def _gone(self, run: Run) -> None:
        """Wait until a run that has ended without a last word has written that down."""
        await asyncio.wait([run.task])

    async def _following(self, run: Run, after: int) -> AsyncGenerator[Told, None]:
        with run.watched():
            async with aclosing(run.told.follow()) as following:
                async for told in following:
                    if told.number > after:
                        yield told

    async def get(self, review_id: str, tenant: str, wait_s: float = 0.0) -> ReviewRow:
        """The row, whole; where it is still queued or being made, as it is after ``wait_s``."""
        row = await self._store.get(review_id, tenant, whole=True)
        ends = time.monotonic() + wait_s
        while row.status in RUNNING and not self._board.closed:
            left = ends - time.monotonic()
            if left <= 0:
                break
            await self._board.change(review_id, left)
            row = await self._store.get(review_id, tenant, whole=True)
        return row

    async def page(
        self, tenant: str, filters: Filters, *, limit: int, newest_first: bool, cursor: str | None
    ) -> Page:
        return await self._store.page(
            tenant, filters, limit=limit, newest_first=newest_first, cursor=cursor
        )

    async def cancel(self, review_id: str, tenant: str) -> ReviewRow:
        """
        Raises:
            ReviewFinished: it has been completed, or has failed.
        """
        row = await self._store.cancel(review_id, tenant)
        if row.status != "cancelled":
            raise ReviewFinished(f"The review is {row.status} already.", param="review_id")
        self._end(review_id)
        return row

    async def delete(self, review_id: str, tenant: str) -> None:
        """Its row and its paper, at once; one that is being made ends."""
        await self._store.delete(review_id, tenant)
        self._end(review_id)

    def _end(self, review_id: str) -> None:
        if run := self._board.runs.get(review_id):
            run.stop(Ending.CANCELLED)
        self._board.changed(review_id)

    async def paper(self, review_id: str, tenant: str) -> tuple[ReviewRow, bytes]:
        """
        Raises:
            PaperNotStored: it came as text, or is not kept.
        """
        row = await self._store.get(review_id, tenant)
        data = None
        if row.source == "file" and row.content:
            data = await asyncio.to_thread(self._store.papers.load, row.content)
        if data is None:
            raise PaperNotStored("No file is stored of this review's paper.", param="review_id")
        return row, data


def _new_review(
    asked: Submission, prepared: Prepared, source: StoredSource, *, keeps: bool
) -> NewReview:
    model, plan = prepared.engine.model, prepared.plan
    given = asked.parameters
    # A chat completion's has its messages beside these, with the paper in them.
    whole = given.model_dump(mode="json", include=set(ReviewParameters.model_fields))
    same = [source.kind, source.content, _suffix(source.name), model.name, plan.fingerprint]
    return NewReview(
        id=plan.id,
        tenant=asked.tenant,
        created=time.time(),
        background=given.background,
        source=source.kind,
        name=source.name,
        content=source.content if keeps else None,
        data=source.data if keeps else None,
        sha256=source.sha256,
        parameters=stored_parameters(given),
        answer_format=asked.answer_format,
        reuse_key=_digest(*same, __version__, given.blind, given.check_injection)
        if keeps and source.content
        else None,
        model=model.name,
        template=plan.template.name,
        reuse=given.reuse,
        key=asked.key,
        fingerprint=_digest(source.kind, source.content, source.name, whole, asked.answer_format),
    )


def _suffix(name: str) -> str:
    """What tells LaTeX from Markdown."""
    return name.rpartition(".")[2].lower()


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _replayed(row: ReviewRow, *, reused: bool) -> list[Event]:
    if row.status != "completed" or row.review is None:
        return [Failed(error_of(row))]
    review = Review.model_validate_json(row.review).model_copy(update={"reused": reused})
    return [
        Accepted(review.id, review.created, review.model, (), constraint=None),
        Writing(0, review.text),
        Completed(review),
    ]
