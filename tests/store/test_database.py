"""The database and the folder: migrations, settings that can't work, faults."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import Connection, text

from app.errors import (
    ConfigurationError,
    StorageFull,
    StoreUnavailable,
)
from app.settings import Settings
from app.store.migrate import config_for
from app.store.papers import sha256_of
from app.store.storage import Storage
from app.store.tables import Base
from tests.postgres import Postgres
from tests.store.helpers import (
    ATTEMPTS,
    LEASE_S,
    PAPER,
    opened,
    queued,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def existing_data_dir(data_dir: Path) -> None:
    data_dir.mkdir()


async def test_migrations_lead_to_the_tables(storage: Storage) -> None:
    def differences(connection: Connection) -> Any:
        return compare_metadata(MigrationContext.configure(connection), Base.metadata)

    async with storage._database.read() as session:
        assert await (await session.connection()).run_sync(differences) == []


@pytest.mark.usefixtures("existing_data_dir")
async def test_rows_of_the_first_version_are_kept(database_url: SecretStr | None) -> None:
    """As the code of November 2026 wrote them: one in the queue, one at work in a dead process."""
    storage = Storage(Settings(database_url=database_url))
    async with storage._database._write() as session:
        await (await session.connection()).run_sync(
            lambda connection: command.upgrade(config_for(connection), "0001")
        )
        for review_id, status, owner, lost in (
            ("rev_waiting", "queued", None, 1),
            ("rev_at_work", "in_progress", "dead", 0),
        ):
            await session.execute(
                text(_FIRST_ROW),
                {"id": review_id, "status": status, "owner": owner, "lost": lost},
            )
    await storage.start()
    try:
        queue, reviews = storage.store.queue, storage.store.reviews
        waiting = await queue.claim("a", LEASE_S)
        assert waiting
        assert (waiting.id, waiting.failed_attempts) == ("rev_waiting", 1)
        assert waiting.blob_sha256 == sha256_of(PAPER)
        assert await queue.expire(LEASE_S, ATTEMPTS) == ["rev_at_work"]
        assert (await reviews.get("rev_at_work", "")).suspect
    finally:
        await storage.stop()


_FIRST_ROW = f"""
INSERT INTO reviews (id, tenant, created, status, background, owner, lease_until, attempt, lost,
    source, name, content, parameters, model, template, sha256, title)
VALUES (:id, '', 1.0, :status, true, :owner, 1.0, 1, :lost,
    'file', 'paper.pdf', '{sha256_of(PAPER)}', '{{}}', 'scripted', 'default', '', '')
"""  # noqa: S608


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
        ("mysql://root:secret@host/name", "must begin with postgresql"),
        ("postgresql://root:secret@host:port/name", "is not a URL"),
        ("secret nonsense", "is not a URL"),
        ("sqlite://", "must begin with"),
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


async def test_a_full_disk_of_postgresql(postgres: Postgres) -> None:
    """The server's own error; nothing but its reason is made up."""
    url = SecretStr(postgres.new_database())
    async with opened(Settings(database_url=url)) as storage:
        async with storage._database.write() as session:
            await session.execute(
                text(
                    "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                    "RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
                )
            )
            await session.execute(
                text(
                    "CREATE TRIGGER full_disk BEFORE INSERT ON reviews "
                    "FOR EACH ROW EXECUTE FUNCTION full_disk()"
                )
            )
        with pytest.raises(StorageFull):
            await queued(storage.store)


async def test_a_full_disk_is_why_the_service_is_not_ready() -> None:
    async with opened(Settings()) as storage:
        with no_room():
            await storage._check()
            with pytest.raises(StorageFull, match=r"The store is not ready: .* disk is full\."):
                storage.check()
        await storage._check()
        storage.check()


async def test_a_disk_that_is_full_to_sqlite_alone() -> None:
    """Its own error for a quota that is used up is that for a broken disk."""
    async with opened(Settings()) as storage:
        with no_room(), pytest.raises(StorageFull):
            await queued(storage.store, blob_sha256=None, data=None)
        await queued(storage.store)


@contextmanager
def no_room() -> Iterator[None]:
    """This process can't write a byte more to any file, as if a quota were used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
