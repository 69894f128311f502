"""The store of one process: opens it, checks it regularly, and removes old reviews."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
from pathlib import Path

from app.async_utils import end
from app.errors import ConfigurationError, StoreUnavailable
from app.settings import Settings
from app.store.database import Database
from app.store.papers import PaperFiles
from app.store.store import Store
from app.tasks import EssentialTasks, repeat

log = logging.getLogger(__name__)

_CHECK_S = 2.0
"""Interval of checks of the database and the folder."""
_SWEEP_S = 60.0
_CLOSING_S = 5.0
"""Most seconds at shutdown for running database calls."""
_SWEPT_AT_ONCE = 100
_ORPHANED_S = 3600.0
"""Age from which a paper without a row is removed; a younger one's row may be about to be
stored."""


class Storage:
    """Owns the store's connections; other code uses ``store``."""

    def __init__(self, settings: Settings) -> None:
        """Does not connect yet.

        Raises:
            ConfigurationError: the database's URL is invalid.
        """
        self._settings = settings
        url = settings.database_url
        self._database = Database(url.get_secret_value() if url else None, settings.data_dir)
        self.store = Store(self._database, PaperFiles(settings.data_dir / "papers"))
        self._opened = False
        """Whether this process has found or created the folder of papers."""
        self.unready: StoreUnavailable | None = StoreUnavailable("It has not been opened.")
        """Why the store can't be used now; None when it can."""
        self.tasks = EssentialTasks()
        self._running: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def check(self) -> None:
        """Check that the store can be used.

        Raises:
            StorageFull: the disk is full.
            StoreUnavailable: the database or the folder of papers can't be reached.
        """
        if self.unready:
            raise type(self.unready)(f"The store is not ready: {self.unready.message}")

    async def start(self) -> None:
        """Open the store. If the database can't be reached, keep trying in the background.

        Raises:
            ConfigurationError: the folder can't be written to, or the database belongs to a newer
                version.
        """
        _check_folder(self._settings.data_dir)
        try:
            await self._check()
        except ConfigurationError:
            await self._database.close()
            raise
        checking = repeat(self._check_again, _CHECK_S, self._stopping)
        sweeping = repeat(self.sweep, _SWEEP_S, self._stopping)
        self._running = [
            self.tasks.start("watch over the database", checking, self._stopping),
            self.tasks.start("removal of old reviews", sweeping, self._stopping),
        ]

    async def stop(self) -> None:
        self._stopping.set()
        await end(self._running, _CLOSING_S)
        await self._database.close()

    async def _check(self) -> None:
        try:
            await self._database.check()
            await self._check_papers()
        except StoreUnavailable as error:
            self._fail(error, error.__cause__)
        else:
            if self.unready:
                log.info("the store is ready")
            self.unready = None

    async def _check_papers(self) -> None:
        papers = self.store.papers
        if not self._opened and not await asyncio.to_thread(papers.is_marked):
            if await asyncio.to_thread(papers.is_empty) and await self.store.cleanup.any_papers():
                raise StoreUnavailable(
                    "The folder of papers is empty, but the database refers to papers in it. Mount "
                    f"it, or create a file {papers.mark.name!r} in it to continue without them."
                )
            await asyncio.to_thread(papers.create)
        self._opened = True
        await asyncio.to_thread(papers.check)

    async def _check_again(self) -> None:
        try:
            await self._check()
        except ConfigurationError as error:
            # The service is running already; it reports that it is not ready.
            self._fail(StoreUnavailable(error.message))

    def _fail(self, error: StoreUnavailable, cause: BaseException | None = None) -> None:
        if self.unready is None or self.unready.message != error.message:
            log.error("%s", error.message, exc_info=cause)
        self.unready = error

    async def sweep(self) -> None:
        """Remove reviews that are older than ``retention``, and papers without a review."""
        before = time.time() - self._settings.kept_s
        while await self.store.cleanup.remove_finished(before, _SWEPT_AT_ONCE) == _SWEPT_AT_ONCE:
            if self._stopping.is_set():
                return
        untouched = self.store.papers.untouched(_ORPHANED_S)
        while blob_sha256 := await asyncio.to_thread(next, untouched, None):
            await self.store.cleanup.remove_unused(blob_sha256)
            if self._stopping.is_set():
                return


async def check_store(settings: Settings) -> None:
    """Open and close the store, to report permanent errors before the service starts.

    Raises:
        ConfigurationError: see :meth:`Storage.start`.
    """
    storage = Storage(settings)
    await storage.start()
    await storage.stop()


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(
            f"The data folder {folder} can't be written to: {reason}.", param="data_dir"
        ) from error
