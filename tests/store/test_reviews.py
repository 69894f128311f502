"""What clients do with stored reviews."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.errors import (
    EngineError,
    IdempotencyMismatch,
    InvalidRequest,
    Overloaded,
    ReviewNotFound,
)
from app.store.papers import sha256_of
from app.store.records import Claim, Filters
from app.store.store import Store
from tests.store.helpers import (
    PAPER,
    accept,
    claimed,
    new,
    outcome,
    queued,
)

pytestmark = pytest.mark.anyio


async def test_a_tenant_sees_nothing_of_another(store: Store) -> None:
    review_id = await queued(store, tenant="theirs", reuse_key="same", key="k")
    await store.queue.complete(await claimed(store), outcome())
    for asking in (
        store.reviews.get(review_id, "ours"),
        store.reviews.get(review_id, ""),
        store.reviews.cancel(review_id, "ours"),
        store.reviews.delete(review_id, "ours"),
    ):
        with pytest.raises(ReviewNotFound):
            await asking
    assert await accept(store, new(tenant="theirs", reuse_key="same", reuse=True)) == review_id
    page = await store.reviews.page("ours", Filters(), limit=10, newest_first=True, cursor=None)
    assert page.rows == []
    # Their key is free for us, and their review is not ours.
    ours = new(tenant="ours", key="k", reuse_key="same", reuse=True)
    assert await accept(store, ours) is None


async def test_a_review_does_for_the_same_paper_and_its_key(store: Store) -> None:
    first = await queued(store, reuse_key="same")
    again = {"reuse_key": "same", "reuse": True}
    second = new(**again)
    assert await accept(store, second) is None  # the first is not done
    await store.queue.complete(await claimed(store), outcome())
    assert await accept(store, new(**again, key="k", fingerprint="f")) == first
    await store.queue.complete(await claimed(store), outcome())
    for key, expected in (("k", first), ("other", second.id)):
        assert await accept(store, new(**again, key=key, fingerprint="f")) == expected
    assert await accept(store, new(reuse_key="same")) is None
    assert await accept(store, new(reuse=True)) is None


async def test_a_full_queue_takes_only_what_does_not_wait(store: Store, data_dir: Path) -> None:
    first = await queued(store, key="k", blob_sha256=None, data=None)
    with pytest.raises(Overloaded):
        await accept(store, new(), most_queued=1)
    assert not list((data_dir / "papers").glob("??/*"))
    assert await accept(store, new(key="k"), most_queued=1) == first
    begun = new()
    assert await accept(store, begun, Claim(begun.id, "a", 1), most_queued=1) is None
    await claimed(store)
    assert await accept(store, new(), most_queued=1) is None


async def test_a_key_stands_for_one_review(store: Store) -> None:
    first = await queued(store, key="k", fingerprint="f")
    assert await accept(store, new(key="k", fingerprint="f")) == first
    with pytest.raises(IdempotencyMismatch):
        await accept(store, new(key="k", fingerprint="other"))
    assert await store.reviews.counts() == {"queued": 1, "in_progress": 0}


async def test_the_same_key_at_once_makes_one_review(store: Store) -> None:
    reviews = [new(key="k", fingerprint="f") for _ in range(10)]
    known = await asyncio.gather(*(accept(store, one) for one in reviews))
    (first,) = [one.id for one, other in zip(reviews, known, strict=True) if other is None]
    assert {other for other in known if other} == {first}


@pytest.mark.parametrize(
    ("error", "free"), [(EngineError("x"), True), (InvalidRequest("x"), False)]
)
async def test_a_key_outlasts_only_failures_of_its_request(
    store: Store, error: EngineError | InvalidRequest, free: bool
) -> None:
    first = await queued(store, key="k")
    await store.queue.fail(await claimed(store), error, None)
    assert await accept(store, new(key="k")) == (None if free else first)


async def test_a_key_of_a_cancelled_review_is_free(store: Store) -> None:
    await store.reviews.cancel(await queued(store, key="k"), "")
    assert await accept(store, new(key="k")) is None


async def test_pages_lead_through_everything_once(store: Store) -> None:
    ids = [await queued(store, created=float(n // 2)) for n in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.reviews.page("", Filters(), limit=3, newest_first=False, cursor=cursor)
        seen += [row.id for row in page.rows]
        if not page.next:
            break
        cursor = page.next
        # What it stood on may be gone.
        await store.reviews.delete(page.rows[-1].id, "")
    assert sorted(seen) == sorted(ids)
    newest = await store.reviews.page("", Filters(), limit=2, newest_first=True, cursor=None)
    assert newest.rows[0].created == 3.0


@pytest.mark.parametrize("cursor", ["x", "%%%", "bm9uc2Vuc2U", "\ud800"])
async def test_a_cursor_of_nobodys(store: Store, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        await store.reviews.page("", Filters(), limit=3, newest_first=True, cursor=cursor)


async def test_filters(store: Store) -> None:
    undecided = await queued(store, created=1.0)
    await store.queue.complete(await claimed(store), outcome(None))
    accepted = await queued(store, created=2.0)
    await store.queue.complete(await claimed(store), outcome())
    waiting = await queued(store, created=3.0, sha256="")

    async def found(**filters: Any) -> list[str]:
        page = await store.reviews.page(
            "", Filters(**filters), limit=10, newest_first=False, cursor=None
        )
        return [row.id for row in page.rows]

    assert await found() == [undecided, accepted, waiting]
    assert await found(status="completed") == [undecided, accepted]
    assert await found(decision="accept") == [accepted]
    assert await found(decision="none") == [undecided]
    assert await found(created_after=1.0) == [accepted, waiting]
    assert await found(created_after=1.0, created_before=3.0) == [accepted]
    assert await found(sha256=sha256_of(PAPER)) == [undecided, accepted]


async def test_cancelling_twice(store: Store) -> None:
    review_id = await queued(store)
    assert (await store.reviews.cancel(review_id, "")).status == "cancelled"
    assert (await store.reviews.cancel(review_id, "")).status == "cancelled"
