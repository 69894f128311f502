"""The store of what people did to the points of reviews, and sums over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import PointsChanged
from app.store.database import Database
from app.store.records import Filters
from app.store.reviews import conditions
from app.store.tables import PointsRow, ReviewRow

COUNTS = ("points", "edited", "useful", "wrong", "trivial", "not_in_paper", "added")
"""Columns of the table that are summed."""
BINS = 10
"""Of the histogram of probabilities."""


@dataclass(frozen=True, slots=True)
class StoredEdits:
    """``edits`` is in the form of :class:`app.jobs.points.Edits`. Version 0: nobody did anything
    yet.
    """

    version: int
    edits: Mapping[str, Any]

    def check(self, version: int) -> None:
        """Check that ``version`` is the current one.

        Raises:
            PointsChanged: it is not.
        """
        if self.version != version:
            raise PointsChanged(
                f"The points were changed since: their version is {self.version}, not {version}. "
                "Get them again.",
                param="version",
            )


@dataclass(frozen=True, slots=True)
class ReviewSums:
    """Numbers of reviews by status and decision, and of completed ones by probability."""

    statuses: Mapping[str, int]
    decisions: Mapping[str, int]
    probabilities: Sequence[int]


class EditStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, review_id: str) -> StoredEdits:
        """What was done to a review's points. The caller has checked the tenant."""
        async with self._database.read() as session:
            return await _current(session, review_id)

    async def put(
        self, review_id: str, version: int, edits: Mapping[str, Any], counts: Mapping[str, int]
    ) -> int:
        """Store ``edits`` in place of those of ``version``; returns the new version.

        Raises:
            PointsChanged: the stored version is another one.
        """
        async with self._database.write(guarding=[f"points {review_id}"]) as session:
            (await _current(session, review_id)).check(version)
            values = {"version": version + 1, "edits": dict(edits), **counts}
            if version:
                row = PointsRow.review_id == review_id
                await session.execute(update(PointsRow).where(row).values(**values))
            else:
                await session.execute(insert(PointsRow).values(review_id=review_id, **values))
        return version + 1

    async def sums_by_model(self, tenant: str, filters: Filters) -> dict[str, dict[str, int]]:
        """For each model, the number of ``reviews`` that somebody worked on, and the sums of
        ``COUNTS`` over them.
        """
        columns = [func.sum(getattr(PointsRow, name)) for name in COUNTS]
        query = (
            select(ReviewRow.model, func.count(), *columns)
            .join(PointsRow, PointsRow.review_id == ReviewRow.id)
            .where(ReviewRow.tenant == tenant, *conditions(filters))
            .group_by(ReviewRow.model)
            .order_by(ReviewRow.model)
        )
        async with self._database.read() as session:
            rows = (await session.execute(query)).all()
        names = ("reviews", *COUNTS)
        return {model: dict(zip(names, map(int, numbers), strict=True)) for model, *numbers in rows}

    async def sums(self, tenant: str, filters: Filters) -> ReviewSums:
        """Numbers of the tenant's reviews."""
        mine = [ReviewRow.tenant == tenant, *conditions(filters)]
        completed = [*mine, ReviewRow.status == "completed"]
        value = ReviewRow.probability
        bins = [func.sum(case((_in_bin(value, index), 1), else_=0)) for index in range(BINS)]
        async with self._database.read() as session:
            statuses = await session.execute(
                select(ReviewRow.status, func.count()).where(*mine).group_by(ReviewRow.status)
            )
            decisions = await session.execute(
                select(ReviewRow.decision, func.count())
                .where(*completed)
                .group_by(ReviewRow.decision)
            )
            heights = (await session.execute(select(*bins).where(*completed))).one()
        return ReviewSums(
            dict(iter(statuses)),
            {decision or "none": count for decision, count in decisions},
            [int(height or 0) for height in heights],
        )


def _in_bin(value: Any, index: int) -> Any:
    """Whether a probability is in this bin; 1 is in the last one."""
    below = value <= 1 if index == BINS - 1 else value < (index + 1) / BINS
    return (value >= index / BINS) & below


async def _current(session: AsyncSession, review_id: str) -> StoredEdits:
    row = await session.get(PointsRow, review_id)
    return StoredEdits(row.version, row.edits) if row else StoredEdits(0, {})
