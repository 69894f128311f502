"""The repository on both kinds of database: who owns a review, and for how long."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, text

from app.errors import (
    ConfigurationError,
    EngineError,
    IdempotencyMismatch,
    InvalidRequest,
    Overloaded,
    ReviewNotFound,
    StoreUnavailable,
)
from app.settings import Settings
from app.store.papers import PaperFiles, address
from app.store.records import Claim, Filters, NewReview, Outcome
from app.store.storage import Storage
from app.store.store import Store
from app.store.tables import Base

pytestmark = pytest.mark.anyio

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


@pytest.fixture
async def storage(database_url: SecretStr | None) -> AsyncGenerator[Storage, None]:
    async with opened(Settings(database_url=database_url)) as storage:
        yield storage


@pytest.fixture
def store(storage: Storage) -> Store:
    return storage.store


def new(**changes: Any) -> NewReview:
    values: dict[str, Any] = {
        "id": f"rev_{uuid.uuid4().hex}",
        "tenant": "",
        "created": time.time(),
        "background": True,
        "source": "file",
        "name": "paper.pdf",
        "content": address(PAPER),
        "data": PAPER,
        "sha256": address(PAPER),
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
        sha256=address(PAPER),
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
    if review.content and review.data:
        store.papers.save(review.content, review.data)
    known = await store.accept(review, claim, lease_s=lease_s, most_queued=most_queued)
    return known.id if known else None


async def queued(store: Store, **changes: Any) -> str:
    review = new(**changes)
    assert await accept(store, review) is None
    return review.id


async def claimed(store: Store, owner: str = "a", lease_s: float = LEASE_S) -> Claim:
    row = await store.claim(owner, lease_s)
    assert row
    return Claim(row.id, owner, row.attempt)


async def suspect(store: Store, owner: str = "a", lease_s: float = LEASE_S) -> Claim:
    """One that is claimed to be tried alone."""
    row = await store.claim(owner, lease_s, alone=True)
    assert row
    return Claim(row.id, owner, row.attempt)


async def set_time(store: Store, review_id: str, column: str) -> None:
    """As if it had come long ago."""
    async with store._database.write() as session:
        await session.execute(
            text(f"UPDATE reviews SET {column} = 0 WHERE id = :id"),  # noqa: S608
            {"id": review_id},
        )


async def died(store: Store) -> set[str]:
    """What is lost with the processes whose leases have run out."""
    await asyncio.sleep(0.01)
    return set(await store.expire(LEASE_S, ATTEMPTS))


async def test_the_oldest_comes_first_and_each_only_once(store: Store) -> None:
    ids = [await queued(store, created=float(n)) for n in range(3)]
    assert [(await claimed(store)).id for _ in ids] == ids
    assert await store.claim("b", LEASE_S) is None


async def test_many_workers_never_get_the_same_review(store: Store) -> None:
    ids = {await queued(store) for _ in range(60)}
    got: list[str] = []

    async def work(owner: str) -> None:
        while row := await store.claim(owner, LEASE_S):
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
    assert not await store.complete(first, outcome("reject"))
    assert not await store.give_back(first, charged=True)
    assert await store.complete(second, outcome("accept"))
    assert not await store.complete(second, outcome("reject"))
    row = await store.get(review_id, "")
    assert (row.status, row.decision, row.attempt, row.lost) == ("completed", "accept", 2, 0)


async def test_the_same_process_is_fenced_from_its_own_earlier_attempt(store: Store) -> None:
    await queued(store)
    first = await claimed(store, "a", lease_s=0.0)
    await died(store)
    second = await suspect(store, "a")
    assert not await store.complete(first, outcome())
    assert await store.complete(second, outcome())


async def test_a_sign_of_life_keeps_a_claim(store: Store) -> None:
    await queued(store)
    claim = await claimed(store, lease_s=0.0)
    assert await store.renew({claim}, LEASE_S) == set()
    assert await store.claim("b", LEASE_S) is None
    assert await died(store) == set()


async def test_a_void_claim_is_told_by_the_renewal(store: Store) -> None:
    review_id = await queued(store)
    claim = await claimed(store)
    await store.cancel(review_id, "")
    assert await store.renew({claim}, LEASE_S) == {claim}
    assert not await store.complete(claim, outcome())
    assert (await store.get(review_id, "")).status == "cancelled"


async def test_all_that_died_with_a_process_is_suspect_and_costs_none_an_attempt(
    store: Store,
) -> None:
    ids = {await queued(store) for _ in range(3)}
    for _ in ids:
        await claimed(store, "a", lease_s=0.0)
    alive = await queued(store, created=1.0)
    await claimed(store, "b")
    assert await died(store) == ids
    assert await store.suspects_wait()
    # A suspect's turn: nothing else is begun beside it.
    await queued(store)
    assert await store.claim("c", LEASE_S) is None
    for review_id in ids:
        row = await store.get(review_id, "")
        assert (row.status, row.suspect, row.lost) == ("queued", True, 0)
    assert not (await store.get(alive, "")).suspect
    assert {(await suspect(store, "c")).id for _ in ids} == ids
    assert await store.claim("c", LEASE_S, alone=True) is None
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
        row = await store.get(review_id, "")
        assert (row.status, row.lost) == ("queued", failures)
        # Not at once: others come first.
        assert await store.claim("a", LEASE_S, alone=True) is None
        assert row.not_before
        await set_time(store, review_id, "not_before")
    await suspect(store, lease_s=0.0)
    assert await died(store) == {review_id}
    row = await store.get(review_id, "")
    assert row.error
    assert (row.status, row.error["code"]) == ("failed", "attempts_exhausted")


async def test_a_review_for_a_client_that_waited_is_not_begun_again(store: Store) -> None:
    """Nor does it make those guilty that died with it."""
    review = new(background=False)
    await accept(store, review, Claim(review.id, "a", 1), lease_s=0.0)
    background = await queued(store)
    await claimed(store, "a", lease_s=0.0)
    assert await died(store) == {review.id, background}
    row = await store.get(review.id, "")
    assert row.error
    assert (row.status, row.error["code"]) == ("failed", "interrupted")
    assert (await store.get(background, "")).lost == 0


async def test_a_clock_that_is_set_back_keeps_nothing_waiting(store: Store) -> None:
    """Of the dead the leases run out all the same, and pauses end."""
    review_id = await queued(store)
    await claimed(store, lease_s=3600.0 + LEASE_S)
    await store.expire(LEASE_S, ATTEMPTS)
    row = await store.get(review_id, "")
    assert row.lease_until
    assert row.lease_until < time.time() + 2 * LEASE_S
    paused = await queued(store)
    await store.give_back(await claimed(store), pause_s=3600.0)
    assert (await claimed(store)).id == paused


async def test_a_pause(store: Store) -> None:
    review_id = await queued(store)
    await store.give_back(await claimed(store), charged=True, pause_s=30.0)
    assert await store.claim("a", LEASE_S) is None
    await set_time(store, review_id, "not_before")
    assert (await claimed(store)).id == review_id


async def test_what_is_given_back_keeps_its_place(store: Store) -> None:
    first = await queued(store, created=1.0)
    await queued(store, created=2.0)
    assert await store.give_back(await claimed(store))
    assert (await claimed(store)).id == first
    assert (await store.get(first, "")).lost == 0


async def test_a_tenant_sees_nothing_of_another(store: Store) -> None:
    review_id = await queued(store, tenant="theirs", reuse_key="same", key="k")
    await store.complete(await claimed(store), outcome())
    for asking in (
        store.get(review_id, "ours"),
        store.get(review_id, ""),
        store.cancel(review_id, "ours"),
        store.delete(review_id, "ours"),
    ):
        with pytest.raises(ReviewNotFound):
            await asking
    assert await accept(store, new(tenant="theirs", reuse_key="same", reuse=True)) == review_id
    page = await store.page("ours", Filters(), limit=10, newest_first=True, cursor=None)
    assert page.rows == []
    # Their key is free for us, and their review is not ours.
    ours = new(tenant="ours", key="k", reuse_key="same", reuse=True)
    assert await accept(store, ours) is None


async def test_a_review_does_for_the_same_paper_and_its_key(store: Store) -> None:
    first = await queued(store, reuse_key="same")
    again = {"reuse_key": "same", "reuse": True}
    second = new(**again)
    assert await accept(store, second) is None  # the first is not done
    await store.complete(await claimed(store), outcome())
    assert await accept(store, new(**again, key="k", fingerprint="f")) == first
    await store.complete(await claimed(store), outcome())
    for key, expected in (("k", first), ("other", second.id)):
        assert await accept(store, new(**again, key=key, fingerprint="f")) == expected
    assert await accept(store, new(reuse_key="same")) is None
    assert await accept(store, new(reuse=True)) is None


async def test_a_full_queue_takes_only_what_does_not_wait(store: Store, data_dir: Path) -> None:
    first = await queued(store, key="k", content=None, data=None)
    with pytest.raises(Overloaded):
        await accept(store, new(), most_queued=1)
    assert not list((data_dir / "papers").glob("??/*"))
    assert await accept(store, new(key="k"), most_queued=1) == first
    begun = new()
    assert await accept(store, begun, Claim(begun.id, "a", 1), most_queued=1) is None
    await claimed(store)
    assert await accept(store, new(), most_queued=1) is None


async def test_some_tenants_are_left_out(store: Store) -> None:
    await queued(store, tenant="busy", created=1.0)
    idle = await queued(store, tenant="idle", created=2.0)
    row = await store.claim("a", LEASE_S, without={"busy"})
    assert row
    assert row.id == idle
    assert await store.claim("a", LEASE_S, without={"busy"}) is None


async def test_a_key_stands_for_one_review(store: Store) -> None:
    first = await queued(store, key="k", fingerprint="f")
    assert await accept(store, new(key="k", fingerprint="f")) == first
    with pytest.raises(IdempotencyMismatch):
        await accept(store, new(key="k", fingerprint="other"))
    assert await store.counts() == {"queued": 1, "in_progress": 0}


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
    await store.fail(await claimed(store), error, None)
    assert await accept(store, new(key="k")) == (None if free else first)


async def test_a_key_of_a_cancelled_review_is_free(store: Store) -> None:
    await store.cancel(await queued(store, key="k"), "")
    assert await accept(store, new(key="k")) is None


async def test_a_paper_goes_with_its_last_review_of_any_tenant(
    store: Store, data_dir: Path
) -> None:
    ours, theirs = await queued(store), await queued(store, tenant="theirs")
    (stored,) = (data_dir / "papers").glob("??/*")
    assert stored.read_bytes() == PAPER
    await store.delete(ours, "")
    assert stored.exists()
    await store.delete(theirs, "theirs")
    assert not stored.exists()


async def test_papers_are_there_as_long_as_their_reviews_are(store: Store) -> None:
    """Whatever the order in which they are accepted and deleted at the same time."""
    for _ in range(5):
        ids = [await queued(store) for _ in range(3)]
        accepted = [new() for _ in range(3)]
        await asyncio.gather(
            *(store.delete(review_id, "") for review_id in ids),
            *(accept(store, one) for one in accepted),
        )
        assert store.papers.load(address(PAPER)) == PAPER
        for one in accepted:
            await store.delete(one.id, "")
        assert store.papers.load(address(PAPER)) is None


async def test_pages_lead_through_everything_once(store: Store) -> None:
    ids = [await queued(store, created=float(n // 2)) for n in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        page = await store.page("", Filters(), limit=3, newest_first=False, cursor=cursor)
        seen += [row.id for row in page.rows]
        if not page.next:
            break
        cursor = page.next
        # What it stood on may be gone.
        await store.delete(page.rows[-1].id, "")
    assert sorted(seen) == sorted(ids)
    newest = await store.page("", Filters(), limit=2, newest_first=True, cursor=None)
    assert newest.rows[0].created == 3.0


@pytest.mark.parametrize("cursor", ["x", "%%%", "bm9uc2Vuc2U", "\ud800"])
async def test_a_cursor_of_nobodys(store: Store, cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        await store.page("", Filters(), limit=3, newest_first=True, cursor=cursor)


async def test_filters(store: Store) -> None:
    undecided = await queued(store, created=1.0)
    await store.complete(await claimed(store), outcome(None))
    accepted = await queued(store, created=2.0)
    await store.complete(await claimed(store), outcome())
    waiting = await queued(store, created=3.0, sha256="")

    async def found(**filters: Any) -> list[str]:
        page = await store.page("", Filters(**filters), limit=10, newest_first=False, cursor=None)
        return [row.id for row in page.rows]

    assert await found() == [undecided, accepted, waiting]
    assert await found(status="completed") == [undecided, accepted]
    assert await found(decision="accept") == [accepted]
    assert await found(decision="none") == [undecided]
    assert await found(created_after=1.0) == [accepted, waiting]
    assert await found(created_after=1.0, created_before=3.0) == [accepted]
    assert await found(sha256=address(PAPER)) == [undecided, accepted]


async def test_the_sweeper_keeps_what_is_young_or_runs(
    database_url: SecretStr | None, data_dir: Path
) -> None:
    async with opened(Settings(database_url=database_url, retention="days:2")) as storage:
        store, day = storage.store, 86_400
        old = await queued(store, created=time.time() - 3 * day)
        await store.complete(await claimed(store), outcome())
        running = await queued(store, created=time.time() - 3 * day, content=None, data=None)
        young = await queued(store, created=time.time() - day, content=None, data=None)
        await storage.sweep()
        with pytest.raises(ReviewNotFound):
            await store.get(old, "")
        assert not list((data_dir / "papers").glob("??/*"))
        assert (await store.get(running, "")).status == "queued"
        await store.get(young, "")


async def test_the_sweeper_removes_papers_that_have_lost_their_row(
    storage: Storage, data_dir: Path
) -> None:
    import os

    store = storage.store
    await queued(store)
    store.papers.save(address(b"lost"), b"lost")
    store.papers.save(address(b"new"), b"new")
    part = store.papers.path(address(b"lost")).with_name("unfinished.part")
    part.write_bytes(b"half")
    hours_ago = time.time() - 7200
    for path in (data_dir / "papers").glob("??/*"):
        if path != store.papers.path(address(b"new")):
            os.utime(path, (hours_ago, hours_ago))
    await storage.sweep()
    left = {path.name for path in (data_dir / "papers").glob("??/*")}
    assert left == {address(PAPER), address(b"new")}


async def test_migrations_lead_to_the_tables(storage: Storage) -> None:
    def differences(connection: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)

    async with storage._database.read() as session:
        assert await (await session.connection()).run_sync(differences) == []


async def test_processes_that_start_at_once_migrate_once(
    database_url: SecretStr | None,
) -> None:
    settings = Settings(database_url=database_url)
    storages = [Storage(settings) for _ in range(4)]
    await asyncio.gather(*(storage.start() for storage in storages))
    # While one turns SQLite's journal into WAL, another may be told that it is locked.
    async with asyncio.timeout(20):
        while any(storage.unready for storage in storages):
            await asyncio.sleep(0.1)
    for storage in storages:
        await storage.stop()


async def test_a_database_of_a_newer_version_is_refused(database_url: SecretStr | None) -> None:
    settings = Settings(database_url=database_url)
    async with opened(settings) as storage, storage._database.write() as session:
        await session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="revision 9999, which this version does not know"):
        await Storage(settings).start()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://root:secret@host/name", "has to begin with postgresql"),
        ("secret nonsense", "no URL"),
        ("sqlite://", "has to begin with"),
    ],
)
async def test_a_url_of_no_database(url: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told) as refused:
        Storage(Settings(database_url=SecretStr(url)))
    assert "secret" not in str(refused.value)


async def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="can't be written to: Not a directory"):
        await Storage(Settings(data_dir=tmp_path / "file" / "data")).start()


async def test_a_damaged_database_is_no_crash(data_dir: Path) -> None:
    damaged = data_dir.with_suffix(".db")
    damaged.write_bytes(b"this is no database" * 100)
    url = SecretStr(f"sqlite:///{damaged}")
    async with opened(Settings(database_url=url)) as storage:
        with pytest.raises(StoreUnavailable):
            storage.check()


async def test_a_full_database() -> None:
    async with opened(Settings()) as storage:
        async with storage._database.write() as session:
            await session.execute(text("PRAGMA max_page_count = 40"))
        with pytest.raises(StoreUnavailable) as full:
            await queued(storage.store, parameters={"long": "x" * 500_000})
        assert full.value.code == "storage_full"
        assert storage.unready is None


async def test_cancelling_twice(store: Store) -> None:
    review_id = await queued(store)
    assert (await store.cancel(review_id, "")).status == "cancelled"
    assert (await store.cancel(review_id, "")).status == "cancelled"


async def test_what_it_is_doing_is_done_before_it_ends(data_dir: Path) -> None:
    """Cut off, a connection would have a thread left that answers to no loop any more."""
    lost = PaperFiles(data_dir / "papers").path(address(PAPER))
    lost.parent.mkdir(parents=True)
    lost.write_bytes(PAPER)
    os.utime(lost, (0, 0))
    storage = Storage(Settings(data_dir=data_dir))
    await storage.start()
    with closing(sqlite3.connect(data_dir / "reviews.db", check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        await asyncio.sleep(0.2)
        free = threading.Timer(0.3, other.rollback)
        free.start()
        await storage.stop()
        free.join()
    assert not lost.exists()
