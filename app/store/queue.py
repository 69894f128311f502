"""The store's queue for workers: claims on reviews, and results."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    ClauseElement,
    Double,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from app.errors import Interrupted, ReviewerError
from app.failures import LONGEST_PAUSE_S, exhausted, pause_s
from app.store.database import Database, epoch
from app.store.papers import PaperFiles
from app.store.records import Claim, Outcome
from app.store.statements import COLUMNS, LEASE, REVIEWS, affects_a_row, blob_lock, error_json
from app.store.states import CANCEL, CLAIM, COMPLETE, FAIL, REQUEUE, Move
from app.store.tables import ReviewRow

_CLAIMED = and_(
    COLUMNS.id == bindparam("claim_id"),
    COLUMNS.owner == bindparam("claim_owner"),
    COLUMNS.attempt == bindparam("claim_attempt"),
    COLUMNS.status == CLAIM.target,
)
_END_CLAIM = update(REVIEWS).where(_CLAIMED).values(owner=None, lease_until=None)
_AFTER_DEATH = (
    update(REVIEWS)
    .where(COLUMNS.id == bindparam("expired_id"))
    .values(owner=None, lease_until=None)
)
_DEAD_OWNERS = (
    select(COLUMNS.owner)
    .where(COLUMNS.status == CLAIM.target)
    .group_by(COLUMNS.owner)
    .having(func.max(COLUMNS.lease_until) < epoch())
)
_TOO_FAR = epoch() + 10 * bindparam("lease_s", type_=Double())
"""A lease beyond this time shows that the database's clock was set back."""
_SUSPICIOUS_LEASE = (
    select(COLUMNS.id)
    .where(
        COLUMNS.status == CLAIM.target,
        or_(COLUMNS.lease_until < epoch(), COLUMNS.lease_until > _TOO_FAR),
    )
    .limit(1)
)
_SHORTEN_LEASES = (
    update(REVIEWS)
    .where(COLUMNS.status == CLAIM.target, COLUMNS.lease_until > _TOO_FAR)
    .values(lease_until=LEASE)
)


class Queue:
    """The queue. A process that makes a review has a claim on it. Once the claim is void, methods
    that take it do nothing and return False. See :mod:`app.store.states`.
    """

    def __init__(self, database: Database, papers: PaperFiles) -> None:
        self._database = database
        self._papers = papers

    async def claim(
        self,
        owner: str,
        lease_s: float,
        *,
        without: Collection[str] = (),
        alone: bool = False,
        past_suspects: bool = False,
    ) -> ReviewRow | None:
        """Claim the oldest queued review; None if there is none for this owner now.

        Suspects are claimed only with ``alone``. While a suspect waits, other reviews are claimed
        only with ``past_suspects``. Reviews of the tenants in ``without`` are skipped.
        """
        waiting = _waiting(without, suspects=alone).order_by(ReviewRow.created).limit(1)
        # SQLite has no row locks; its transactions run one after another.
        candidate = waiting.with_for_update(skip_locked=True).scalar_subquery()
        claimed = (
            update(ReviewRow)
            .where(ReviewRow.id == candidate)
            .values(
                status=CLAIM.target,
                owner=owner,
                lease_until=epoch() + lease_s,
                attempt=ReviewRow.attempt + 1,
                not_before=None,
            )
            .returning(ReviewRow)
            .execution_options(synchronize_session=False)
        )
        if not (alone or past_suspects):
            claimed = claimed.where(~exists(_waiting(without, suspects=True)))
        async with self._database.write() as session:
            row: ReviewRow | None = await session.scalar(claimed)
            return row

    async def suspects_wait(self, without: Collection[str] = ()) -> bool:
        """Whether a suspect is waiting, for which all other reviews have to wait."""
        query = select(exists(_waiting(without, suspects=True)))
        async with self._database.read() as session:
            return bool(await session.scalar(query))

    async def renew(self, claims: Collection[Claim], lease_s: float) -> set[Claim]:
        """Extend the leases of one owner's claims; returns the claims that are void."""
        owners = {claim.owner for claim in claims}
        renewed = (
            update(REVIEWS)
            .where(
                ReviewRow.id.in_([claim.id for claim in claims]),
                ReviewRow.status == CLAIM.target,
                ReviewRow.owner.in_(owners),
            )
            .values(lease_until=epoch() + lease_s)
            .returning(ReviewRow.id, ReviewRow.owner, ReviewRow.attempt)
        )
        async with self._database.write() as session:
            rows = await session.execute(renewed)
            return set(claims) - {Claim(row.id, row.owner, row.attempt) for row in rows}

    async def complete(self, claim: Claim, outcome: Outcome) -> bool:
        return await self._end_claim(
            claim,
            COMPLETE,
            {
                "review": outcome.review,
                "events": outcome.events,
                "title": outcome.title,
                "sha256": outcome.sha256,
                "decision": outcome.decision,
                "probability": outcome.probability,
            },
        )

    async def fail(self, claim: Claim, error: ReviewerError, events: bytes | None) -> bool:
        return await self._end_claim(claim, FAIL, {"error": error_json(error), "events": events})

    async def cancel(self, claim: Claim) -> bool:
        return await self._end_claim(claim, CANCEL, {})

    async def requeue(
        self,
        claim: Claim,
        *,
        failed: bool = False,
        suspect: bool | None = None,
        pause_s: float | None = None,
    ) -> bool:
        """Put a review back into the queue, at its old place.

        Args:
            failed: count this as a failed attempt.
            suspect: whether it is a suspect from now on; None keeps the current value.
            pause_s: seconds before it may be claimed again.
        """
        values: dict[str, Any] = {"failed_attempts": COLUMNS.failed_attempts + int(failed)}
        if suspect is not None:
            values["suspect"] = suspect
        if pause_s is not None:
            values["not_before"] = epoch() + pause_s
        return await self._end_claim(claim, REQUEUE, values)

    async def _end_claim(self, claim: Claim, move: Move, values: dict[str, Any]) -> bool:
        # Expressions become part of the statement, other values its parameters.
        computed = {k: v for k, v in values.items() if isinstance(v, ClauseElement)}
        plain = {k: v for k, v in values.items() if k not in computed} | {"status": move.target}
        statement = _END_CLAIM.values(computed) if computed else _END_CLAIM
        async with self._database.write() as session:
            return await affects_a_row(session, statement, _claim_values(claim) | plain)

    async def discard(self, claim: Claim) -> bool:
        """Delete the row."""
        async with self._database.write() as session:
            return await affects_a_row(
                session, delete(REVIEWS).where(_CLAIMED), _claim_values(claim)
            )

    async def keep_paper(self, claim: Claim, blob_sha256: str, name: str, data: bytes) -> bool:
        """Store the file that was fetched from a link."""
        await asyncio.to_thread(self._papers.save, blob_sha256, data)
        kept = update(REVIEWS).where(_CLAIMED)
        values = {
            "source": "file",
            "name": name,
            "blob_sha256": blob_sha256,
            "sha256": blob_sha256,
        }
        async with self._database.write(guarding=blob_lock(blob_sha256)) as session:
            if not await affects_a_row(session, kept, _claim_values(claim) | values):
                return False
            if not self._papers.has(blob_sha256):
                self._papers.save(blob_sha256, data)
            return True

    async def expire(self, lease_s: float, max_attempts: int) -> Sequence[str]:
        """End the claims of dead processes; returns the ids of their reviews.

        A process counts as dead once all of its leases have expired. If its reviews were handled
        one by one, the last one would seem to have been the only one.
        """
        async with self._database.read() as session:
            if await session.scalar(_SUSPICIOUS_LEASE, {"lease_s": lease_s}) is None:
                return []
        async with self._database.write() as session:
            await session.execute(_SHORTEN_LEASES, {"lease_s": lease_s})
            expired = await session.scalars(
                select(ReviewRow)
                .where(
                    ReviewRow.status == CLAIM.target,
                    ReviewRow.owner.in_(_DEAD_OWNERS),
                    ReviewRow.lease_until < epoch(),
                )
                .with_for_update(skip_locked=True)
            )
            rows = list(expired)
            for row in rows:
                values = _after_death(row, max_attempts)
                await session.execute(_AFTER_DEATH.values(values), {"expired_id": row.id})
            return [row.id for row in rows]


def _claim_values(claim: Claim) -> dict[str, Any]:
    """The parameters of ``_CLAIMED``."""
    return {"claim_id": claim.id, "claim_owner": claim.owner, "claim_attempt": claim.attempt}


def _waiting(without: Collection[str], *, suspects: bool) -> Select[str]:
    """Queued reviews that may be claimed now."""
    pause_over = or_(
        ReviewRow.not_before.is_(None),
        ReviewRow.not_before <= epoch(),
        # A later time shows that the database's clock was set back.
        ReviewRow.not_before > epoch() + LONGEST_PAUSE_S,
    )
    return select(ReviewRow.id).where(
        ReviewRow.status.in_(CLAIM.sources),
        ReviewRow.suspect == suspects,
        ReviewRow.tenant.not_in(without),
        pause_over,
    )


def _after_death(row: ReviewRow, max_attempts: int) -> dict[str, Any]:
    """The new values of a review whose process has died."""
    if not row.background:
        return _failed(
            Interrupted(
                f"The process that made the review {row.id} has ended. Send the request again."
            )
        )
    if not row.suspect:
        return {"status": REQUEUE.target, "suspect": True}
    # A suspect runs alone, so it is the cause of the process's end.
    failed = row.failed_attempts + 1
    if failed >= max_attempts:
        return _failed(exhausted(max_attempts, "the process that worked on it ended"))
    not_before = epoch() + pause_s(failed)
    return {"status": REQUEUE.target, "failed_attempts": failed, "not_before": not_before}


def _failed(error: ReviewerError) -> dict[str, Any]:
    return {"status": FAIL.target, "error": error_json(error)}
