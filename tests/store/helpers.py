"""Reviews for the tests of the store, and what happens to them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text

from app.settings import Settings
from app.store.papers import sha256_of
from app.store.records import Claim, NewReview, Outcome
from app.store.storage import Storage
from app.store.store import Store

LEASE_S, ATTEMPTS = 30.0, 3
PAPER = b"%PDF-1.7 a paper"


@asynccontextmanager
async def opened(settings: Settings) -> AsyncGenerator[Storage, None]:
    storage = Storage(settings)
    await storage.start()
    try:
        yield storage
    finally:
        await storage.stop()


def new(**changes: Any) -> NewReview:
    values: dict[str, Any] = {
        "id": f"rev_{uuid.uuid4().hex}",
        "tenant": "",
        "created": time.time(),
        "background": True,
        "source": "file",
        "name": "paper.pdf",
        "blob_sha256": sha256_of(PAPER),
        "data": PAPER,
        "sha256": sha256_of(PAPER),
        "parameters": {"mode": "review"},
        "answer_format": None,
        "reuse_key": None,
        "reuse": False,
        "model": "scripted",
        "template": "default",
        "key": None,
        "fingerprint": "",
    }
    return NewReview(**{**values, **changes})


def outcome(decision: str | None = "accept") -> Outcome:
    return Outcome(
        review="{}",
        events=b"",
        title="A title",
        sha256=sha256_of(PAPER),
        decision=decision,
        probability=0.7,
    )


async def accept(
    store: Store,
    review: NewReview,
    claim: Claim | None = None,
    *,
    lease_s: float = LEASE_S,
    most_queued: int = 1000,
) -> str | None:
    """The id of a review that does instead."""
    if review.blob_sha256 and review.data:
        store.papers.save(review.blob_sha256, review.data)
    known = await store.reviews.accept(review, claim, lease_s=lease_s, most_queued=most_queued)
    return known.id if known else None


async def queued(store: Store, **changes: Any) -> str:
    review = new(**changes)
    assert await accept(store, review) is None
    return review.id


async def claimed(store: Store, owner: str = "a", lease_s: float = LEASE_S) -> Claim:
    row = await store.queue.claim(owner, lease_s)
    assert row
    return Claim(row.id, owner, row.attempt)


async def suspect(store: Store, owner: str = "a", lease_s: float = LEASE_S) -> Claim:
    """One that is claimed to be tried alone."""
    row = await store.queue.claim(owner, lease_s, alone=True)
    assert row
    return Claim(row.id, owner, row.attempt)


async def set_time(store: Store, review_id: str, column: str) -> None:
    """As if it had come long ago."""
    async with store.queue._database.write() as session:
        await session.execute(
            text(f"UPDATE reviews SET {column} = 0 WHERE id = :id"),  # noqa: S608
            {"id": review_id},
        )


async def died(store: Store) -> set[str]:
    """What is lost with the processes whose leases have run out."""
    await asyncio.sleep(0.01)
    return set(await store.queue.expire(LEASE_S, ATTEMPTS))
