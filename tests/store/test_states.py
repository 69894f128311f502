"""Every move between states, from every state: what is not in the table does nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from app.errors import EngineError
from app.store.records import Claim
from app.store.states import (
    CANCEL,
    CLAIM,
    COMPLETE,
    FAIL,
    FINISHED,
    REQUEUE,
    UNFINISHED,
    Move,
    Status,
)
from app.store.store import Store
from tests.store.helpers import LEASE_S, claimed, outcome, queued

pytestmark = pytest.mark.anyio

MOVES: dict[str, tuple[Move, Callable[[Store, Claim], Awaitable[object]]]] = {
    "claim": (CLAIM, lambda store, _: store.queue.claim("b", LEASE_S)),
    "complete": (COMPLETE, lambda store, claim: store.queue.complete(claim, outcome())),
    "fail": (FAIL, lambda store, claim: store.queue.fail(claim, EngineError("x"), None)),
    "requeue": (REQUEUE, lambda store, claim: store.queue.requeue(claim)),
    "cancel by its client": (CANCEL, lambda store, claim: store.reviews.cancel(claim.id, "")),
}


@pytest.mark.parametrize("status", [*UNFINISHED, *FINISHED])
@pytest.mark.parametrize("name", MOVES)
async def test_a_move_is_made_from_its_sources_alone(
    store: Store, name: str, status: Status
) -> None:
    move, make = MOVES[name]
    review_id = await queued(store)
    claim = await claimed(store)
    async with store.queue._database.write() as session:
        await session.execute(text("UPDATE reviews SET status = :status"), {"status": status})
    await make(store, claim)
    moved = status in move.sources
    assert (await store.reviews.get(review_id, "")).status == (move.target if moved else status)
