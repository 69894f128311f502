"""Connections, transactions and errors of the database, SQLite or PostgreSQL."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import asyncpg
from sqlalchemy import (
    URL,
    AdaptedConnection,
    Connection,
    Double,
    event,
    exc,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from app.errors import ConfigurationError, StorageFull, StoreUnavailable, is_full_disk
from app.store.migrate import migrate

_BUSY_S = 10.0
"""Most seconds that SQLite waits for another process's transaction."""
_CONNECT_S = 5.0
_STATEMENT_S = 30.0
_PROBE = 2**16
"""Bytes to write as a test for a full disk; more than a page of SQLite."""
_UNAVAILABLE = ("08", "53", "57", "58")
"""PostgreSQL's error classes: connection, resources, operator intervention, system."""


_FAULTS = (exc.SQLAlchemyError, asyncpg.PostgresError, sqlite3.Error, OSError, TimeoutError)


class epoch(FunctionElement[float]):  # noqa: N801  # an SQL function
    """SQL function: Unix time in seconds by the database's clock, which all processes share."""

    type = Double()
    inherit_cache = True


@compiles(epoch, "postgresql")
def _epoch_postgresql(*_: object, **__: object) -> str:
    return "EXTRACT(EPOCH FROM clock_timestamp())::double precision"


@compiles(epoch, "sqlite")
def _epoch_sqlite(*_: object, **__: object) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


class Database:
    """Connections to one database. Its errors are raised as ``StoreUnavailable``."""

    def __init__(self, url: str | None, folder: Path) -> None:
        """Without ``url``, use SQLite in ``folder``.

        Raises:
            ConfigurationError: the URL is invalid, or of another kind of database.
        """
        self._url = _url(url, folder)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self._folder = Path(self._url.database or ".").parent
        self._engine = _sqlite_engine(self._url) if self._sqlite else _postgresql_engine(self._url)
        self._writing = asyncio.Lock()
        self._revision = ""
        """The schema's revision, once the database has been migrated to it."""

    async def check(self) -> None:
        """Migrate the schema if necessary; also after an outage, as the database may be another.

        Raises:
            ConfigurationError: a newer version has migrated the database further.
            StoreUnavailable: the database can't be reached.
        """
        if self._revision:
            async with self.read() as session:
                now = await session.scalar(text("SELECT version_num FROM alembic_version"))
            if now == self._revision:
                return
        async with self._write() as session:
            self._revision = await (await session.connection()).run_sync(migrate)

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession, None]:
        self._ready()
        with _driver_errors_as_ours(self._folder):
            async with AsyncSession(self._engine, expire_on_commit=False) as session:
                yield session

    @asynccontextmanager
    async def write(
        self, *, durable: bool = False, guarding: Sequence[str] = ()
    ) -> AsyncGenerator[AsyncSession, None]:
        """A transaction, committed at the end.

        With ``durable`` it survives a power cut, for which SQLite has to wait for the disk;
        without, only the end of the process. Transactions ``guarding`` the same name exclude each
        other, also across processes.
        """
        self._ready()
        async with self._write(durable=durable) as session:
            if not self._sqlite:
                for name in sorted(guarding):  # in a fixed order, to avoid deadlocks
                    lock = func.pg_advisory_xact_lock(func.hashtextextended(name, 0))
                    await session.execute(select(lock))
            yield session

    def _ready(self) -> None:
        if not self._revision:
            raise StoreUnavailable("The database has not been reached yet.")

    @asynccontextmanager
    async def _write(self, *, durable: bool = False) -> AsyncGenerator[AsyncSession, None]:
        if not self._sqlite:
            async with self._transaction() as session:
                yield session
            return
        # SQLite has one writer at a time. Waiting for a lock here is fair; SQLite would poll.
        async with self._writing, self._transaction(immediate=True, durable=durable) as session:
            yield session

    @asynccontextmanager
    async def _transaction(self, **options: bool) -> AsyncGenerator[AsyncSession, None]:
        with _driver_errors_as_ours(self._folder):
            opened = AsyncSession(self._engine, expire_on_commit=False)
            async with opened as session, session.begin():
                await session.connection(execution_options=options)
                yield session

    async def close(self) -> None:
        await self._engine.dispose()


def _url(given: str | None, folder: Path) -> URL:
    if given is None:
        return URL.create("sqlite+aiosqlite", database=str(folder / "reviews.db"))
    try:
        url = make_url(given)
        backend = url.get_backend_name()
    except (exc.ArgumentError, ValueError) as error:  # the latter of a port that is no number
        # The URL and the exception's text may contain a password.
        raise ConfigurationError("database_url is not a URL.", param="database_url") from error
    if backend in ("postgresql", "postgres"):
        query = dict(url.query)
        if "sslmode" in query:  # libpq's name of what asyncpg calls ssl
            query["ssl"] = query.pop("sslmode")
        return url.set(drivername="postgresql+asyncpg", query=query)
    if backend == "sqlite" and url.database:
        return url.set(drivername="sqlite+aiosqlite")
    raise ConfigurationError(
        "database_url must begin with postgresql:// or sqlite:///.", param="database_url"
    )


def _postgresql_engine(url: URL) -> AsyncEngine:
    return create_async_engine(
        url,
        # Notice connections that a restart of the database has closed before using them.
        pool_pre_ping=True,
        pool_timeout=_CONNECT_S,
        connect_args={"timeout": _CONNECT_S, "command_timeout": _STATEMENT_S},
    )


def _sqlite_engine(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        connect_args={"timeout": _BUSY_S},
        pool_timeout=_CONNECT_S,
        # All transactions are ended explicitly. A rollback on return would cost another call in
        # the driver's thread.
        pool_reset_on_return=None,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def set_up(connection: Any, _: object) -> None:
        # Begin transactions explicitly and not by the driver's rules.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if not options.get("immediate"):
            return  # a single SELECT is a transaction of its own
        durable = bool(options.get("durable"))
        if durable != connection.info.get("durable", False):
            _execute(connection, f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            connection.info["durable"] = durable
        # A transaction that begins with a read may not be able to write later.
        _execute(connection, "BEGIN IMMEDIATE")

    return engine


def _execute(connection: Connection, statement: str) -> None:
    """Execute a statement in one call of the driver; a cursor would need three."""
    adapted = cast(AdaptedConnection, connection.connection.dbapi_connection)
    adapted.run_async(lambda driver: driver.execute(statement))


@contextmanager
def _driver_errors_as_ours(folder: Path) -> Iterator[None]:
    """Turn the drivers' exceptions into ours, except for errors in a statement.

    ``folder`` is that of SQLite's file.
    """
    try:
        yield
    except exc.IntegrityError:
        raise
    except _FAULTS as error:
        if _is_full(error, folder):
            raise StorageFull("The database's disk is full.") from error
        if _is_out(error):
            raise StoreUnavailable("The database can't be reached.") from error
        raise


def _is_out(error: Exception) -> bool:
    if isinstance(error, exc.DBAPIError):
        sqlstate = getattr(error.orig, "sqlstate", None) or ""
        return (
            isinstance(error, exc.OperationalError | exc.InterfaceError)
            or error.connection_invalidated
            or isinstance(error.orig, sqlite3.DatabaseError)
            or sqlstate.startswith(_UNAVAILABLE)
        )
    # The drivers' own exceptions are raised when connecting (wrong password, missing database)
    # and when SQLite begins to write.
    return not isinstance(error, exc.SQLAlchemyError) or isinstance(error, exc.TimeoutError)


def _is_full(error: Exception, folder: Path) -> bool:
    if is_full_disk(error):
        return True
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", None) or 0
    # SQLite has one code for all I/O errors except a full disk, and hides the system's: an exceeded
    # quota looks like a broken disk.
    return code & 0xFF == sqlite3.SQLITE_IOERR and _is_out_of_room(folder)


def _is_out_of_room(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0" * _PROBE)
    except OSError as error:
        return is_full_disk(error)
    return False
