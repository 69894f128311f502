"""Removes reviews, and papers that no review needs any more."""

from __future__ import annotations

import logging

from sqlalchemy import delete, exists, select

from app.errors import StoreUnavailable
from app.store.database import Database
from app.store.papers import PaperFiles
from app.store.statements import blob_lock
from app.store.states import FINISHED
from app.store.tables import ReviewRow

log = logging.getLogger(__name__)


class Cleanup:
    def __init__(self, database: Database, papers: PaperFiles) -> None:
        self._database = database
        self._papers = papers

    async def remove_finished(self, before: float, limit: int) -> int:
        """Remove up to ``limit`` finished reviews that were created before ``before``."""
        query = (
            select(ReviewRow.id, ReviewRow.blob_sha256)
            .where(ReviewRow.status.in_(FINISHED), ReviewRow.created < before)
            .limit(limit)
        )
        async with self._database.read() as session:
            rows = (await session.execute(query)).all()
        for review_id, blob_sha256 in rows:
            await self.remove(review_id, blob_sha256)
        return len(rows)

    async def remove(self, review_id: str, blob_sha256: str | None) -> bool:
        """Remove a review, and its paper unless another review needs it; False if there is none.

        The paper is removed after the row's deletion has been committed. If that fails,
        ``Storage.sweep`` removes the paper later.
        """
        gone = delete(ReviewRow).where(ReviewRow.id == review_id).returning(ReviewRow.blob_sha256)
        async with self._database.write(guarding=blob_lock(blob_sha256)) as session:
            row = (await session.execute(gone)).first()
        # The paper of a link may have been fetched and stored in the meantime.
        for stored in {blob_sha256, row.blob_sha256 if row else None} - {None}:
            try:
                await self.remove_unused(str(stored))
            except StoreUnavailable as error:
                log.warning("the paper of a deleted review could not be removed: %s", error.code)
        return row is not None

    async def remove_unused(self, blob_sha256: str) -> None:
        """Remove a paper, unless a review needs it."""
        used = select(ReviewRow.id).where(ReviewRow.blob_sha256 == blob_sha256).limit(1)
        async with self._database.write(guarding=blob_lock(blob_sha256)) as session:
            if await session.scalar(used) is None:
                self._papers.remove(blob_sha256)

    async def any_papers(self) -> bool:
        """Whether any review has its paper in the folder."""
        query = select(exists(select(ReviewRow.id).where(ReviewRow.blob_sha256.is_not(None))))
        async with self._database.read() as session:
            return bool(await session.scalar(query))
