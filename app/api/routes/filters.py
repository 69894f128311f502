"""The query parameters that choose some of a tenant's reviews."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Depends, Query

from app.store.records import Filters
from app.store.states import Status

UnixTime = Annotated[float, Query(description="Unix time in seconds.", allow_inf_nan=False)]


async def _filters(
    status: Status | None = None,
    decision: Literal["accept", "reject", "undecided", "none"] | None = None,
    created_after: UnixTime | None = None,
    created_before: UnixTime | None = None,
    sha256: Annotated[str | None, Query(pattern="^[0-9a-f]{64}$")] = None,
) -> Filters:
    return Filters(
        status=status,
        decision=decision,
        created_after=created_after,
        created_before=created_before,
        sha256=sha256,
    )


FiltersDep = Annotated[Filters, Depends(_filters)]
