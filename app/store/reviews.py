"""The store's operations for clients: accept, get, list, cancel and delete reviews."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import fields

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Insert,
    Select,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from app.errors import IdempotencyMismatch, Overloaded, ReviewNotFound, StoreUnavailable
from app.store.cleanup import Cleanup
from app.store.database import Database
from app.store.papers import PaperFiles
from app.store.records import (
    Claim,
    ExistingReview,
    Filters,
    NewReview,
    Page,
    cursor_after,
    position_of,
)
from app.store.statements import COLUMNS, LEASE, REVIEWS, affects_a_row, blob_lock
from app.store.states import CANCEL, UNFINISHED
from app.store.tables import IdempotencyKey, ReviewRow

_SERVER_ERROR = 500
"""After an error with this status or higher, the request's key may be used again."""

_OF_NEW = [field.name for field in fields(NewReview) if field.name in COLUMNS]

# These statements are built once, as building one takes as long as SQLite takes to execute it.
_NEW = {
    name: bindparam(name, type_=COLUMNS[name].type)
    for name in (*_OF_NEW, "status", "owner", "attempt", "failed_attempts", "suspect", "title")
}
_NEWEST_SAME = (
    select(COLUMNS.id)
    .where(
        COLUMNS.tenant == _NEW["tenant"],
        COLUMNS.reuse_key == _NEW["reuse_key"],
        COLUMNS.status == "completed",
    )
    .order_by(COLUMNS.created.desc())
    .limit(1)
)
_INSERT_UNLESS_SAME = insert(REVIEWS).from_select(
    [*_NEW, "lease_until"],
    select(*_NEW.values(), LEASE).where(
        or_(bindparam("reuse", type_=Boolean()).is_(False), ~exists(_NEWEST_SAME))
    ),
)


class Reviews:
    """Reviews; all methods for clients select by tenant."""

    def __init__(self, database: Database, papers: PaperFiles, cleanup: Cleanup) -> None:
        self._database = database
        self._papers = papers
        self._cleanup = cleanup

    async def accept(
        self, new: NewReview, claim: Claim | None, *, lease_s: float, most_queued: int
    ) -> ExistingReview | None:
        """Store a new review: with the claim of the process that makes it, or in the queue.

        Its paper must be in the folder already; it is removed if the review is not stored.

        Returns:
            An existing review that answers the request, or None. If there is one, no new review is
            stored, and the client's key refers to the existing one from now on.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            Overloaded: the queue is full.
        """
        try:
            return await self._insert(new, claim, lease_s, most_queued)
        except BaseException:
            if new.blob_sha256:
                with suppress(StoreUnavailable):
                    await self._cleanup.remove_unused(new.blob_sha256)
            raise

    async def _insert(
        self, new: NewReview, claim: Claim | None, lease_s: float, most_queued: int
    ) -> ExistingReview | None:
        values = {name: getattr(new, name) for name in _OF_NEW} | {
            "status": "in_progress" if claim else "queued",
            "owner": claim.owner if claim else None,
            "attempt": claim.attempt if claim else 0,
            "failed_attempts": 0,
            "suspect": False,
            "title": "",
            "lease_s": lease_s if claim else None,
            "reuse": new.reuse,
        }
        guarding = blob_lock(new.blob_sha256)
        guarding += [f"key {new.tenant} {new.key}"] if new.key else []
        async with self._database.write(durable=new.background, guarding=guarding) as session:
            if new.key and (by_key := await _by_key(session, new)):
                return ExistingReview(by_key, by_key=True)
            if not await affects_a_row(session, _INSERT_UNLESS_SAME, values):
                # It can't have been deleted in between, as that needs the paper's lock.
                same: str = (await session.execute(_NEWEST_SAME, values)).scalar_one()
                if new.key:
                    await session.execute(_key(new, same))
                return ExistingReview(same, by_key=False)
            if claim is None and await _queued(session) > most_queued:
                raise Overloaded("The queue is full.")
            if new.key:
                await session.execute(_key(new, new.id))
            if new.blob_sha256 and new.data is not None and not self._papers.has(new.blob_sha256):
                # The paper was removed in between, with the last review that needed it.
                self._papers.save(new.blob_sha256, new.data)
        return None

    async def get(self, review_id: str, tenant: str, *, whole: bool = False) -> ReviewRow:
        """The row; with ``whole`` including the columns ``review`` and ``events``.

        Raises:
            ReviewNotFound: the tenant has no such review.
        """
        query = _of_tenant(review_id, tenant)
        if whole:
            query = query.options(undefer(ReviewRow.review), undefer(ReviewRow.events))
        async with self._database.read() as session:
            return _found(await session.scalar(query), review_id)

    async def page(
        self, tenant: str, filters: Filters, *, limit: int, newest_first: bool, cursor: str | None
    ) -> Page:
        """A page of the tenant's reviews.

        Raises:
            InvalidRequest: the cursor is not valid.
        """
        position = tuple_(ReviewRow.created, ReviewRow.id)
        query = select(ReviewRow).where(ReviewRow.tenant == tenant, *conditions(filters))
        if cursor:
            after = tuple_(*position_of(cursor))
            query = query.where(position < after if newest_first else position > after)
        order = [
            column.desc() if newest_first else column.asc()
            for column in (ReviewRow.created, ReviewRow.id)
        ]
        async with self._database.read() as session:
            rows = list(await session.scalars(query.order_by(*order).limit(limit + 1)))
        more = len(rows) > limit
        return Page(rows[:limit], cursor_after(rows[limit - 1]) if more else None)

    async def cancel(self, review_id: str, tenant: str) -> ReviewRow:
        """Cancel a review that has not ended. Its owner notices when it renews the claim.

        Raises:
            ReviewNotFound: the tenant has no such review.
        """
        async with self._database.write() as session:
            await session.execute(
                update(REVIEWS)
                .where(
                    ReviewRow.id == review_id,
                    ReviewRow.tenant == tenant,
                    ReviewRow.status.in_(CANCEL.sources),
                )
                .values(status=CANCEL.target, owner=None, lease_until=None)
            )
            row = await session.scalar(_of_tenant(review_id, tenant))
            return _found(row, review_id)

    async def delete(self, review_id: str, tenant: str) -> None:
        """Delete the row, and its paper unless another review needs it.

        Raises:
            ReviewNotFound: the tenant has no such review.
        """
        row = await self.get(review_id, tenant)
        if not await self._cleanup.remove(row.id, row.blob_sha256):
            raise _not_found(review_id)

    async def finished_among(self, ids: Collection[str]) -> set[str]:
        """The ids among ``ids`` whose reviews have ended or were deleted."""
        query = select(ReviewRow.id).where(ReviewRow.id.in_(ids), ReviewRow.status.in_(UNFINISHED))
        async with self._database.read() as session:
            return set(ids) - set(await session.scalars(query))

    async def ahead_of(self, row: ReviewRow) -> int:
        """Number of queued reviews, of all tenants, that are older than this one."""
        query = select(func.count()).where(
            ReviewRow.status == "queued", ReviewRow.created < row.created
        )
        async with self._database.read() as session:
            return (await session.execute(query)).scalar_one()

    async def counts(self) -> Mapping[str, int]:
        """The numbers of reviews that are queued and in progress, by status."""
        query = (
            select(ReviewRow.status, func.count())
            .where(ReviewRow.status.in_(UNFINISHED))
            .group_by(ReviewRow.status)
        )
        async with self._database.read() as session:
            found: dict[str, int] = dict(iter(await session.execute(query)))
        return {status: found.get(status, 0) for status in UNFINISHED}


def _of_tenant(review_id: str, tenant: str) -> Select[ReviewRow]:
    return select(ReviewRow).where(ReviewRow.id == review_id, ReviewRow.tenant == tenant)


def _found(row: ReviewRow | None, review_id: str) -> ReviewRow:
    if row is None:
        raise _not_found(review_id)
    return row


def _not_found(review_id: str) -> ReviewNotFound:
    return ReviewNotFound(f"There is no review {review_id[:80]!r}.", param="review_id")


def conditions(filters: Filters) -> list[ColumnElement[bool]]:
    """The filters as SQL."""
    found: list[ColumnElement[bool]] = []
    if filters.status:
        found.append(ReviewRow.status == filters.status)
    if filters.decision == "none":
        found += [ReviewRow.status == "completed", ReviewRow.decision.is_(None)]
    elif filters.decision:
        found.append(ReviewRow.decision == filters.decision)
    if filters.created_after is not None:
        found.append(ReviewRow.created > filters.created_after)
    if filters.created_before is not None:
        found.append(ReviewRow.created < filters.created_before)
    if filters.sha256:
        found.append(ReviewRow.sha256 == filters.sha256)
    return found


def _key(new: NewReview, review_id: str) -> Insert:
    return insert(IdempotencyKey).values(
        tenant=new.tenant, key=new.key, fingerprint=new.fingerprint, review_id=review_id
    )


async def _queued(session: AsyncSession) -> int:
    """Number of queued reviews of all tenants."""
    query = select(func.count()).where(ReviewRow.status == "queued")
    return (await session.execute(query)).scalar_one()


async def _by_key(session: AsyncSession, new: NewReview) -> str | None:
    """The id of the review that the client's key refers to.

    A key is released if its review was cancelled, or failed for a reason other than the request.
    """
    query = (
        select(IdempotencyKey, ReviewRow)
        .join(ReviewRow, ReviewRow.id == IdempotencyKey.review_id)
        .where(IdempotencyKey.tenant == new.tenant, IdempotencyKey.key == new.key)
    )
    found = (await session.execute(query)).first()
    if found is None:
        return None
    key, row = found
    if key.fingerprint != new.fingerprint:
        raise IdempotencyMismatch(
            "This Idempotency-Key was used before, with another request.", param="Idempotency-Key"
        )
    status = row.error["status"] if row.error else 0
    if row.status == "cancelled" or status >= _SERVER_ERROR:
        await session.delete(key)
        await session.flush()
        return None
    review_id: str = row.id
    return review_id
