"""SQL that several modules of the store share."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import CursorResult, Double, Table, UpdateBase, bindparam
from sqlalchemy.ext.asyncio import AsyncSession

from app.errors import ReviewerError
from app.store.database import epoch
from app.store.tables import ReviewRow

REVIEWS = cast(Table, ReviewRow.__table__)
"""The table, for writes without the ORM, which would synchronise objects in the session."""
COLUMNS = REVIEWS.c
LEASE = epoch() + bindparam("lease_s", type_=Double())


async def affects_a_row(
    session: AsyncSession, statement: UpdateBase, values: dict[str, Any]
) -> bool:
    result = cast("CursorResult[Any]", await session.execute(statement, values))
    return result.rowcount > 0


def blob_lock(blob_sha256: str | None) -> list[str]:
    """Names of the locks for storing and removing a paper's file; empty without a paper."""
    return [f"content {blob_sha256}"] if blob_sha256 else []


def error_json(error: ReviewerError) -> dict[str, Any]:
    return {"status": error.status, **error.envelope()["error"]}
