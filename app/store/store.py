"""The repository of reviews: rows, their claims, and the papers that belong to them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any, cast

from sqlalchemy import (
    Boolean,
    ColumnElement,
    CursorResult,
    Double,
    Insert,
    Select,
    Table,
    Update,
    UpdateBase,
    and_,
    bindparam,
    delete,
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

from app.errors import (
    IdempotencyMismatch,
    Interrupted,
    Overloaded,
    ReviewerError,
    ReviewNotFound,
    StoreUnavailable,
)
from app.failures import LONGEST_PAUSE_S, exhausted, pause_s
from app.store.database import Database, epoch
from app.store.papers import PaperFiles
from app.store.records import (
    Claim,
    Filters,
    Known,
    NewReview,
    Outcome,
    Page,
    cursor_after,
    place_of,
)
from app.store.tables import ENDED, RUNNING, IdempotencyKey, ReviewRow

_OURS_TO_ANSWER_FOR = 500
"""Errors from this status on are not the request's fault, so that its key may try again."""

_REVIEWS = cast(Table, ReviewRow.__table__)
"""Written to without the ORM, which would look for objects to keep in step."""
_COLUMNS = _REVIEWS.c
_OF_NEW = [field.name for field in fields(NewReview) if field.name in _COLUMNS]

# What every review needs is put together once: that takes as long as SQLite does.
_NEW = {
    name: bindparam(name, type_=_COLUMNS[name].type)
    for name in (*_OF_NEW, "status", "owner", "attempt", "lost", "title")
}
_NEWEST_SAME = (
    select(_COLUMNS.id)
    .where(
        _COLUMNS.tenant == _NEW["tenant"],
        _COLUMNS.reuse_key == _NEW["reuse_key"],
        _COLUMNS.status == "completed",
    )
    .order_by(_COLUMNS.created.desc())
    .limit(1)
)
_LEASE = epoch() + bindparam("lease_s", type_=Double())
_INSERT_UNLESS_SAME = insert(_REVIEWS).from_select(
    [*_NEW, "lease_until"],
    select(*_NEW.values(), _LEASE).where(
        or_(bindparam("reuse", type_=Boolean()).is_(False), ~exists(_NEWEST_SAME))
    ),
)
_IS_HELD = and_(
    _COLUMNS.id == bindparam("held_id"),
    _COLUMNS.owner == bindparam("held_owner"),
    _COLUMNS.attempt == bindparam("held_attempt"),
    _COLUMNS.status == "in_progress",
)
_CONCLUDE = update(_REVIEWS).where(_IS_HELD).values(owner=None, lease_until=None)
_RELEASE = (
    update(_REVIEWS).where(_COLUMNS.id == bindparam("lost_id")).values(owner=None, lease_until=None)
)
_DEAD_OWNERS = (
    select(_COLUMNS.owner)
    .where(_COLUMNS.status == "in_progress")
    .group_by(_COLUMNS.owner)
    .having(func.max(_COLUMNS.lease_until) < epoch())
)
_FAR = epoch() + 10 * bindparam("lease_s", type_=Double())
"""No lease is given for so long: the database's clock has been set back."""
_DOUBTFUL = (
    select(_COLUMNS.id)
    .where(
        _COLUMNS.status == "in_progress",
        or_(_COLUMNS.lease_until < epoch(), _COLUMNS.lease_until > _FAR),
    )
    .limit(1)
)
_SHORTEN = (
    update(_REVIEWS)
    .where(_COLUMNS.status == "in_progress", _COLUMNS.lease_until > _FAR)
    .values(lease_until=_LEASE)
)


class Store:
    """Every review of all tenants. Whatever a client asks for is looked up with its tenant.

    All methods raise ``StoreUnavailable`` where database or folder can't be reached.
    """

    def __init__(self, database: Database, papers: PaperFiles) -> None:
        self._database = database
        self.papers = papers

    # -- what clients do ------------------------------------------------------------------------

    async def accept(
        self, new: NewReview, claim: Claim | None, *, lease_s: float, most_queued: int
    ) -> Known | None:
        """Store it: claimed at once by whoever makes it now, or behind those in the queue.

        Its paper is in ``papers`` already, and is removed where nothing comes of this.

        Returns:
            The review that does instead; then nothing is stored, but the client's key stands for
            it from now on.

        Raises:
            IdempotencyMismatch: the key came with another request.
            Overloaded: so many are in the queue already.
        """
        try:
            return await self._insert(new, claim, lease_s, most_queued)
        except BaseException:
            if new.content:
                with suppress(StoreUnavailable):
                    await self.remove_unused(new.content)
            raise

    async def _insert(
        self, new: NewReview, claim: Claim | None, lease_s: float, most_queued: int
    ) -> Known | None:
        values = {name: getattr(new, name) for name in _OF_NEW} | {
            "status": "in_progress" if claim else "queued",
            "owner": claim.owner if claim else None,
            "attempt": claim.attempt if claim else 0,
            "lost": 0,
            "title": "",
            "lease_s": lease_s if claim else None,
            "reuse": new.reuse,
        }
        guarding = [f"content {new.content}"] if new.content else []
        guarding += [f"key {new.tenant} {new.key}"] if new.key else []
        async with self._database.write(durable=new.background, guarding=guarding) as session:
            if new.key and (by_key := await _by_key(session, new)):
                return Known(by_key, by_key=True)
            if not await _affected(session, _INSERT_UNLESS_SAME, values):
                # It is still there: who deletes it waits for the guard of its paper.
                same: str = (await session.execute(_NEWEST_SAME, values)).scalar_one()
                if new.key:
                    await session.execute(_key(new, same))
                return Known(same, by_key=False)
            if claim is None and await _queued(session) > most_queued:
                raise Overloaded("As many reviews wait in the queue as it holds.")
            if new.key:
                await session.execute(_key(new, new.id))
            if new.content and new.data is not None and not self.papers.has(new.content):
                # The last review that used it was deleted a moment ago.
                self.papers.save(new.content, new.data)
        return None

    async def get(self, review_id: str, tenant: str, *, whole: bool = False) -> ReviewRow:
        """The row; ``review`` and ``events`` only with ``whole``.

        Raises:
            ReviewNotFound: there is none of this tenant.
        """
        query = _of_tenant(review_id, tenant)
        if whole:
            query = query.options(undefer(ReviewRow.review), undefer(ReviewRow.events))
        async with self._database.read() as session:
            return _found(await session.scalar(query), review_id)

    async def page(
        self, tenant: str, filters: Filters, *, limit: int, newest_first: bool, cursor: str | None
    ) -> Page:
        """
        Raises:
            InvalidRequest: the cursor is none.
        """
        place = tuple_(ReviewRow.created, ReviewRow.id)
        query = select(ReviewRow).where(ReviewRow.tenant == tenant, *_conditions(filters))
        if cursor:
            after = tuple_(*place_of(cursor))
            query = query.where(place < after if newest_first else place > after)
        order = [
            column.desc() if newest_first else column.asc()
            for column in (ReviewRow.created, ReviewRow.id)
        ]
        async with self._database.read() as session:
            rows = list(await session.scalars(query.order_by(*order).limit(limit + 1)))
        more = len(rows) > limit
        return Page(rows[:limit], cursor_after(rows[limit - 1]) if more else None)

    async def cancel(self, review_id: str, tenant: str) -> ReviewRow:
        """Whoever works on it learns of it by its next renewal. One that has ended stays as it is.

        Raises:
            ReviewNotFound: there is none of this tenant.
        """
        async with self._database.write() as session:
            await session.execute(
                update(_REVIEWS)
                .where(
                    ReviewRow.id == review_id,
                    ReviewRow.tenant == tenant,
                    ReviewRow.status.in_(RUNNING),
                )
                .values(status="cancelled", owner=None, lease_until=None)
            )
            row = await session.scalar(_of_tenant(review_id, tenant))
            return _found(row, review_id)

    async def delete(self, review_id: str, tenant: str) -> None:
        """The row, and its paper unless another review needs it.

        Raises:
            ReviewNotFound: there is none of this tenant.
        """
        row = await self.get(review_id, tenant)
        if not await self._remove(row.id, row.content):
            raise _not_found(review_id)

    # -- what workers do ------------------------------------------------------------------------

    async def claim(
        self, owner: str, lease_s: float, *, without: Collection[str] = (), alone: bool = False
    ) -> ReviewRow | None:
        """The background review whose turn it is, now the owner's.

        Suspects come before all others, and only to an owner that works on them ``alone``; to such
        a one comes nothing else. ``without`` those tenants' reviews.
        """
        waiting = _waiting(without, suspects=alone).order_by(ReviewRow.created).limit(1)
        # SQLite leaves the locking out; its transactions run one after another.
        candidate = waiting.with_for_update(skip_locked=True).scalar_subquery()
        claimed = (
            update(ReviewRow)
            .where(ReviewRow.id == candidate)
            .values(
                status="in_progress",
                owner=owner,
                lease_until=epoch() + lease_s,
                attempt=ReviewRow.attempt + 1,
                not_before=None,
            )
            .returning(ReviewRow)
            .execution_options(synchronize_session=False)
        )
        if not alone:
            claimed = claimed.where(~exists(_waiting(without, suspects=True)))
        async with self._database.write() as session:
            row: ReviewRow | None = await session.scalar(claimed)
            return row

    async def suspects_wait(self, without: Collection[str] = ()) -> bool:
        """Whether it is a suspect's turn, which keeps all others waiting."""
        query = select(exists(_waiting(without, suspects=True)))
        async with self._database.read() as session:
            return bool(await session.scalar(query))

    async def renew(self, claims: Collection[Claim], lease_s: float) -> set[Claim]:
        """A sign of life for what one owner works on; returns those of the claims that are void."""
        owners = {claim.owner for claim in claims}
        renewed = (
            update(_REVIEWS)
            .where(
                ReviewRow.id.in_([claim.id for claim in claims]),
                ReviewRow.status == "in_progress",
                ReviewRow.owner.in_(owners),
            )
            .values(lease_until=epoch() + lease_s)
            .returning(ReviewRow.id, ReviewRow.owner, ReviewRow.attempt)
        )
        async with self._database.write() as session:
            rows = await session.execute(renewed)
            return set(claims) - {Claim(row.id, row.owner, row.attempt) for row in rows}

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        """False where the claim is void: then nothing has changed. So for all that take a claim."""
        return await self._conclude(
            claim,
            status="completed",
            review=outcome.review,
            events=outcome.events,
            title=outcome.title,
            sha256=outcome.sha256,
            decision=outcome.decision,
            probability=outcome.probability,
        )

    async def fail(self, claim: Claim, error: ReviewerError, events: bytes | None) -> bool:
        return await self._conclude(claim, status="failed", error=_told(error), events=events)

    async def give_up(self, claim: Claim) -> bool:
        """Nobody waits for it any more."""
        return await self._conclude(claim, status="cancelled")

    async def give_back(
        self,
        claim: Claim,
        *,
        charged: bool = False,
        suspect: bool | None = None,
        pause_s: float | None = None,
    ) -> bool:
        """Back into the queue, where it keeps its place.

        ``charged`` counts it as a failed attempt; with ``pause_s`` it waits for at least so many
        seconds; ``suspect`` is what it is from now on, as before where None.
        """
        values: dict[str, Any] = {"lost": _COLUMNS.lost + int(charged)}
        if suspect is not None:
            values["suspect"] = suspect
        if pause_s is not None:
            values["not_before"] = epoch() + pause_s
        return await self._conclude(claim, _CONCLUDE.values(values), status="queued")

    async def _conclude(self, claim: Claim, statement: Update = _CONCLUDE, **values: Any) -> bool:
        async with self._database.write() as session:
            return await _affected(session, statement, _holder(claim) | values)

    async def forget(self, claim: Claim) -> bool:
        """Its row is gone, as if it had never been."""
        async with self._database.write() as session:
            return await _affected(session, delete(_REVIEWS).where(_IS_HELD), _holder(claim))

    async def keep_paper(self, claim: Claim, content: str, name: str, data: bytes) -> bool:
        """What a link led to."""
        await asyncio.to_thread(self.papers.save, content, data)
        kept = update(_REVIEWS).where(_IS_HELD)
        values = {"source": "file", "name": name, "content": content, "sha256": content}
        async with self._database.write(guarding=[f"content {content}"]) as session:
            if not await _affected(session, kept, _holder(claim) | values):
                return False
            if not self.papers.has(content):
                self.papers.save(content, data)
            return True

    async def expire(self, lease_s: float, max_attempts: int) -> Sequence[str]:
        """End the claims of processes that have died; returns the reviews' ids.

        A process is dead once the last of its leases has run out. What it made for clients that
        waited has failed: they have lost their connection with it. The background reviews that it
        worked on are suspects now, and go back into the queue. One that was a suspect already, and
        therefore alone, has cost the process its life: that is a failed attempt.
        """
        async with self._database.read() as session:
            if await session.scalar(_DOUBTFUL, {"lease_s": lease_s}) is None:
                return []
        async with self._database.write() as session:
            await session.execute(_SHORTEN, {"lease_s": lease_s})
            lost = await session.scalars(
                select(ReviewRow)
                .where(
                    ReviewRow.status == "in_progress",
                    ReviewRow.owner.in_(_DEAD_OWNERS),
                    ReviewRow.lease_until < epoch(),
                )
                .with_for_update(skip_locked=True)
            )
            rows = list(lost)
            for row in rows:
                values = _after_death(row, max_attempts)
                await session.execute(_RELEASE.values(values), {"lost_id": row.id})
            return [row.id for row in rows]

    async def ended(self, ids: Collection[str]) -> set[str]:
        """Which of them have ended or are gone."""
        query = select(ReviewRow.id).where(ReviewRow.id.in_(ids), ReviewRow.status.in_(RUNNING))
        async with self._database.read() as session:
            return set(ids) - set(await session.scalars(query))

    async def knows_papers(self) -> bool:
        """Whether any review has its paper in the folder."""
        query = select(exists(select(ReviewRow.id).where(ReviewRow.content.is_not(None))))
        async with self._database.read() as session:
            return bool(await session.scalar(query))

    async def counts(self) -> Mapping[str, int]:
        """How many reviews wait and how many are being made, by their status."""
        query = (
            select(ReviewRow.status, func.count())
            .where(ReviewRow.status.in_(RUNNING))
            .group_by(ReviewRow.status)
        )
        async with self._database.read() as session:
            found: dict[str, int] = dict(iter(await session.execute(query)))
        return {status: found.get(status, 0) for status in RUNNING}

    # -- what the sweeper does ------------------------------------------------------------------

    async def remove_ended(self, before: float, limit: int) -> int:
        """Remove up to ``limit`` reviews that were accepted before then and have ended."""
        query = (
            select(ReviewRow.id, ReviewRow.content)
            .where(ReviewRow.status.in_(ENDED), ReviewRow.created < before)
            .limit(limit)
        )
        async with self._database.read() as session:
            rows = (await session.execute(query)).all()
        for review_id, content in rows:
            await self._remove(review_id, content)
        return len(rows)

    async def remove_unused(self, content: str) -> None:
        """A paper that no row knows of."""
        async with self._database.write(guarding=[f"content {content}"]) as session:
            await self._drop_paper(session, content)

    async def _remove(self, review_id: str, content: str | None) -> bool:
        guarding = [f"content {content}"] if content else []
        async with self._database.write(guarding=guarding) as session:
            gone = delete(ReviewRow).where(ReviewRow.id == review_id).returning(ReviewRow.content)
            row = (await session.execute(gone)).first()
            # A link may have become a file since it was read.
            for stored in {content, row.content if row else None} - {None}:
                await self._drop_paper(session, str(stored))
            return row is not None

    async def _drop_paper(self, session: AsyncSession, content: str) -> None:
        used = select(ReviewRow.id).where(ReviewRow.content == content).limit(1)
        if await session.scalar(used) is None:
            self.papers.remove(content)


def _waiting(without: Collection[str], *, suspects: bool) -> Select[str]:
    """Reviews in the queue that may be begun now."""
    pause_over = or_(
        ReviewRow.not_before.is_(None),
        ReviewRow.not_before <= epoch(),
        # The database's clock has been set back.
        ReviewRow.not_before > epoch() + LONGEST_PAUSE_S,
    )
    return select(ReviewRow.id).where(
        ReviewRow.status == "queued",
        ReviewRow.suspect == suspects,
        ReviewRow.tenant.not_in(without),
        pause_over,
    )


def _after_death(row: ReviewRow, max_attempts: int) -> dict[str, Any]:
    """What becomes of a review whose process has died."""
    if not row.background:
        return _failed(Interrupted("The process that worked on this review has ended."))
    if not row.suspect:
        return {"status": "queued", "suspect": True}
    failures = row.lost + 1
    if failures >= max_attempts:
        return _failed(exhausted(max_attempts, "the process that worked on it ended"))
    pause = epoch() + pause_s(failures)
    return {"status": "queued", "lost": failures, "not_before": pause}


def _failed(error: ReviewerError) -> dict[str, Any]:
    return {"status": "failed", "error": _told(error)}


async def _affected(session: AsyncSession, statement: UpdateBase, values: dict[str, Any]) -> bool:
    """Whether there was a row for it."""
    result = cast("CursorResult[Any]", await session.execute(statement, values))
    return result.rowcount > 0


def _holder(claim: Claim) -> dict[str, Any]:
    """The values of ``_IS_HELD``."""
    return {"held_id": claim.id, "held_owner": claim.owner, "held_attempt": claim.attempt}


def _of_tenant(review_id: str, tenant: str) -> Select[ReviewRow]:
    return select(ReviewRow).where(ReviewRow.id == review_id, ReviewRow.tenant == tenant)


def _found(row: ReviewRow | None, review_id: str) -> ReviewRow:
    if row is None:
        raise _not_found(review_id)
    return row


def _not_found(review_id: str) -> ReviewNotFound:
    return ReviewNotFound(f"There is no review {review_id[:80]!r}.", param="review_id")


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
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
    """Reviews in the queue of all tenants."""
    query = select(func.count()).where(ReviewRow.status == "queued")
    return (await session.execute(query)).scalar_one()


async def _by_key(session: AsyncSession, new: NewReview) -> str | None:
    """The review that the client's key stands for.

    A key whose review ended without an answer, by no fault of the request, is free again.
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
            "This Idempotency-Key came before, with another request.", param="Idempotency-Key"
        )
    status = row.error["status"] if row.error else 0
    if row.status == "cancelled" or status >= _OURS_TO_ANSWER_FOR:
        await session.delete(key)
        await session.flush()
        return None
    review_id: str = row.id
    return review_id


def _told(error: ReviewerError) -> dict[str, Any]:
    return {"status": error.status, **error.envelope()["error"]}
