"""What is removed, and what is not."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.errors import (
    ReviewNotFound,
)
from app.settings import Settings
from app.store.papers import PaperFiles, sha256_of
from app.store.storage import Storage
from app.store.store import Store
from tests.store.helpers import (
    PAPER,
    accept,
    claimed,
    new,
    opened,
    outcome,
    queued,
)

pytestmark = pytest.mark.anyio


async def test_a_paper_goes_with_its_last_review_of_any_tenant(
    store: Store, data_dir: Path
) -> None:
    ours, theirs = await queued(store), await queued(store, tenant="theirs")
    (stored,) = (data_dir / "papers").glob("??/*")
    assert stored.read_bytes() == PAPER
    await store.reviews.delete(ours, "")
    assert stored.exists()
    await store.reviews.delete(theirs, "theirs")
    assert not stored.exists()


async def test_papers_are_there_as_long_as_their_reviews_are(store: Store) -> None:
    """Whatever the order in which they are accepted and deleted at the same time."""
    for _ in range(5):
        ids = [await queued(store) for _ in range(3)]
        accepted = [new() for _ in range(3)]
        await asyncio.gather(
            *(store.reviews.delete(review_id, "") for review_id in ids),
            *(accept(store, one) for one in accepted),
        )
        assert store.papers.load(sha256_of(PAPER)) == PAPER
        for one in accepted:
            await store.reviews.delete(one.id, "")
        assert store.papers.load(sha256_of(PAPER)) is None


async def test_the_sweeper_keeps_what_is_young_or_runs(
    database_url: SecretStr | None, data_dir: Path
) -> None:
    async with opened(Settings(database_url=database_url, retention="days:2")) as storage:
        store, day = storage.store, 86_400
        old = await queued(store, created=time.time() - 3 * day)
        await store.queue.complete(await claimed(store), outcome())
        running = await queued(store, created=time.time() - 3 * day, blob_sha256=None, data=None)
        young = await queued(store, created=time.time() - day, blob_sha256=None, data=None)
        await storage.sweep()
        with pytest.raises(ReviewNotFound):
            await store.reviews.get(old, "")
        assert not list((data_dir / "papers").glob("??/*"))
        assert (await store.reviews.get(running, "")).status == "queued"
        await store.reviews.get(young, "")


async def test_the_sweeper_removes_papers_that_have_lost_their_row(
    storage: Storage, data_dir: Path
) -> None:
    import os

    store = storage.store
    await queued(store)
    store.papers.save(sha256_of(b"lost"), b"lost")
    store.papers.save(sha256_of(b"new"), b"new")
    part = store.papers.path(sha256_of(b"lost")).with_name("unfinished.part")
    part.write_bytes(b"half")
    hours_ago = time.time() - 7200
    for path in (data_dir / "papers").glob("??/*"):
        if path != store.papers.path(sha256_of(b"new")):
            os.utime(path, (hours_ago, hours_ago))
    await storage.sweep()
    left = {path.name for path in (data_dir / "papers").glob("??/*")}
    assert left == {sha256_of(PAPER), sha256_of(b"new")}


async def test_what_it_is_doing_is_done_before_it_ends(data_dir: Path) -> None:
    """Cut off, a connection would have a thread left that answers to no loop any more."""
    lost = PaperFiles(data_dir / "papers").path(sha256_of(PAPER))
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
