"""Claims: who works on a review, for how long, and what a death costs."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.store.records import Claim
from app.store.store import Store
from tests.store.helpers import (
    ATTEMPTS,
    LEASE_S,
    accept,
    claimed,
    died,
    new,
    outcome,
    queued,
    set_time,
    suspect,
)

pytestmark = pytest.mark.anyio


async def test_the_oldest_comes_first_and_each_only_once(store: Store) -> None:
    ids = [await queued(store, created=float(n)) for n in range(3)]
    assert [(await claimed(store)).id for _ in ids] == ids
    assert await store.queue.claim("b", LEASE_S) is None


async def test_many_workers_never_get_the_same_review(store: Store) -> None:
    ids = {await queued(store) for _ in range(60)}
    got: list[str] = []

    async def work(owner: str) -> None:
        while row := await store.queue.claim(owner, LEASE_S):
            got.append(row.id)

    await asyncio.gather(*(work(str(n)) for n in range(8)))
    assert len(got) == 60
    assert set(got) == ids


async def test_what_was_abandoned_is_begun_again_and_its_first_owner_is_fenced(
    store: Store,
) -> None:
    review_id = await queued(store)
    first = await claimed(store, "a", lease_s=0.0)
    assert await died(store) == {review_id}
    second = await suspect(store, "b")
    assert (second.id, second.attempt) == (review_id, 2)
    assert not await store.queue.complete(first, outcome("reject"))
    assert not await store.queue.requeue(first, failed=True)
    assert await store.queue.complete(second, outcome("accept"))
    assert not await store.queue.complete(second, outcome("reject"))
    row = await store.reviews.get(review_id, "")
    assert (row.status, row.decision, row.attempt, row.failed_attempts) == (
        "completed",
        "accept",
        2,
        0,
    )


async def test_the_same_process_is_fenced_from_its_own_earlier_attempt(store: Store) -> None:
    await queued(store)
    first = await claimed(store, "a", lease_s=0.0)
    await died(store)
    second = await suspect(store, "a")
    assert not await store.queue.complete(first, outcome())
    assert await store.queue.complete(second, outcome())


async def test_a_sign_of_life_keeps_a_claim(store: Store) -> None:
    await queued(store)
    claim = await claimed(store, lease_s=0.0)
    assert await store.queue.renew({claim}, LEASE_S) == set()
    assert await store.queue.claim("b", LEASE_S) is None
    assert await died(store) == set()


async def test_a_void_claim_is_told_by_the_renewal(store: Store) -> None:
    review_id = await queued(store)
    claim = await claimed(store)
    await store.reviews.cancel(review_id, "")
    assert await store.queue.renew({claim}, LEASE_S) == {claim}
    assert not await store.queue.complete(claim, outcome())
    assert (await store.reviews.get(review_id, "")).status == "cancelled"


async def test_all_that_died_with_a_process_is_suspect_and_costs_none_an_attempt(
    store: Store,
) -> None:
    ids = {await queued(store) for _ in range(3)}
    for _ in ids:
        await claimed(store, "a", lease_s=0.0)
    alive = await queued(store, created=1.0)
    await claimed(store, "b")
    assert await died(store) == ids
    assert await store.queue.suspects_wait()
    # A suspect's turn: nothing else is begun beside it.
    await queued(store)
    assert await store.queue.claim("c", LEASE_S) is None
    passed = await store.queue.claim("d", LEASE_S, past_suspects=True)
    assert passed
    assert not passed.suspect
    await queued(store)
    for review_id in ids:
        row = await store.reviews.get(review_id, "")
        assert (row.status, row.suspect, row.failed_attempts) == ("queued", True, 0)
    assert not (await store.reviews.get(alive, "")).suspect
    assert {(await suspect(store, "c")).id for _ in ids} == ids
    assert await store.queue.claim("c", LEASE_S, alone=True) is None
    await claimed(store, "c")


async def test_a_process_is_not_dead_while_one_of_its_leases_runs(store: Store) -> None:
    """Were its reviews judged one by one, the last of them would look as if it had been alone."""
    first, second = await queued(store, created=1.0), await queued(store, created=2.0)
    await claimed(store, "a", lease_s=0.0)
    await claimed(store, "a")
    assert await died(store) == set()
    await set_time(store, second, "lease_until")
    assert await died(store) == {first, second}


async def test_only_a_suspect_pays_for_its_process(store: Store) -> None:
    review_id = await queued(store)
    await claimed(store, lease_s=0.0)
    await died(store)
    for failures in range(1, ATTEMPTS):
        await suspect(store, lease_s=0.0)
        assert await died(store) == {review_id}
        row = await store.reviews.get(review_id, "")
        assert (row.status, row.failed_attempts) == ("queued", failures)
        # Not at once: others come first.
        assert row.not_before
        await set_time(store, review_id, "not_before")
    await suspect(store, lease_s=0.0)
    assert await died(store) == {review_id}
    row = await store.reviews.get(review_id, "")
    assert row.error
    assert (row.status, row.error["code"]) == ("failed", "attempts_exhausted")


async def test_a_review_for_a_client_that_waited_is_not_begun_again(store: Store) -> None:
    """Nor does it make those guilty that died with it."""
    review = new(background=False)
    await accept(store, review, Claim(review.id, "a", 1), lease_s=0.0)
    background = await queued(store)
    await claimed(store, "a", lease_s=0.0)
    assert await died(store) == {review.id, background}
    row = await store.reviews.get(review.id, "")
    assert row.error
    assert (row.status, row.error["code"]) == ("failed", "interrupted")
    assert (await store.reviews.get(background, "")).failed_attempts == 0


async def test_a_clock_that_is_set_back_keeps_nothing_waiting(store: Store) -> None:
    """Of the dead the leases run out all the same, and pauses end."""
    review_id = await queued(store)
    await claimed(store, lease_s=3600.0 + LEASE_S)
    await store.queue.expire(LEASE_S, ATTEMPTS)
    row = await store.reviews.get(review_id, "")
    assert row.lease_until
    assert row.lease_until < time.time() + 2 * LEASE_S
    paused = await queued(store)
    await store.queue.requeue(await claimed(store), pause_s=3600.0)
    assert (await claimed(store)).id == paused


async def test_a_pause(store: Store) -> None:
    review_id = await queued(store)
    await store.queue.requeue(await claimed(store), failed=True, pause_s=30.0)
    assert await store.queue.claim("a", LEASE_S) is None
    await set_time(store, review_id, "not_before")
    assert (await claimed(store)).id == review_id


async def test_what_is_given_back_keeps_its_place(store: Store) -> None:
    first = await queued(store, created=1.0)
    await queued(store, created=2.0)
    assert await store.queue.requeue(await claimed(store))
    assert (await claimed(store)).id == first
    assert (await store.reviews.get(first, "")).failed_attempts == 0


async def test_some_tenants_are_left_out(store: Store) -> None:
    await queued(store, tenant="busy", created=1.0)
    idle = await queued(store, tenant="idle", created=2.0)
    row = await store.queue.claim("a", LEASE_S, without={"busy"})
    assert row
    assert row.id == idle
    assert await store.queue.claim("a", LEASE_S, without={"busy"}) is None
