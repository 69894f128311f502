"""The store of one process: opened at start, watched, opened again when it was away, swept."""

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

_LOOK_S = 2.0
"""Between two looks at database and folder."""
_SWEEP_S = 60.0
_CLOSING_S = 5.0
"""For what the database is doing for us when it is to be closed."""
_SWEPT_AT_ONCE = 100
_ORPHANED_S = 3600.0
"""Age from which a paper without a row is one that nobody is about to store a row for."""


class Storage:
    """Owns the store's connections; everybody else borrows ``store``."""

    def __init__(self, settings: Settings) -> None:
        """
        Raises:
            ConfigurationError: the database's URL is none.
        """
        self._settings = settings
        url = settings.database_url
        self._database = Database(url.get_secret_value() if url else None, settings.data_dir)
        self.store = Store(self._database, PaperFiles(settings.data_dir / "papers"))
        self._opened = False
        """Whether the folder of papers has been found, or made, since this process began."""
        self.unready: StoreUnavailable | None = StoreUnavailable("It has not been opened.")
        """Why nothing can be stored now; None when it can."""
        self.tasks = EssentialTasks()
        self._duties: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def check(self) -> None:
        """
        Raises:
            StorageFull: its disk is full.
            StoreUnavailable: the database can't be reached now, or the folder of papers.
        """
        if self.unready:
            raise type(self.unready)(f"The store is not ready: {self.unready.message}")

    async def start(self) -> None:
        """Open it; where the database can't be reached, go on trying in the background.

        Raises:
            ConfigurationError: it will never work: a folder that can't be written to, a database
                of a newer version.
        """
        _check_folder(self._settings.data_dir)
        try:
            await self._look()
        except ConfigurationError:
            await self._database.close()
            raise
        watching = repeat(self._watch, _LOOK_S, self._stopping)
        sweeping = repeat(self.sweep, _SWEEP_S, self._stopping)
        self._duties = [
            self.tasks.start("watch over the database", watching, self._stopping),
            self.tasks.start("removal of old reviews", sweeping, self._stopping),
        ]

    async def stop(self) -> None:
        self._stopping.set()
        await end(self._duties, _CLOSING_S)
        await self._database.close()

    async def _look(self) -> None:
        try:
            await self._database.check()
            await self._look_at_papers()
        except StoreUnavailable as error:
            self._fail(error, error.__cause__)
        else:
            if self.unready:
                log.info("the store is ready")
            self.unready = None

    async def _look_at_papers(self) -> None:
        papers = self.store.papers
        if not self._opened and not await asyncio.to_thread(papers.is_marked):
            if await asyncio.to_thread(papers.is_empty) and await self.store.cleanup.any_papers():
                raise StoreUnavailable(
                    "The folder of papers is empty, and the database knows of papers in it. Mount "
                    f"it, or make an empty file {papers.mark.name!r} in it to go on without them."
                )
            await asyncio.to_thread(papers.create)
        self._opened = True
        await asyncio.to_thread(papers.check)

    async def _watch(self) -> None:
        try:
            await self._look()
        except ConfigurationError as error:
            # The service has begun without it, and its other duties go on.
            self._fail(StoreUnavailable(error.message))

    def _fail(self, error: StoreUnavailable, cause: BaseException | None = None) -> None:
        if self.unready is None or self.unready.message != error.message:
            log.error("%s", error.message, exc_info=cause)
        self.unready = error

    async def sweep(self) -> None:
        """Remove what is older than ``retention`` allows, and papers that have lost their row."""
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
    """Try the store before the service starts, to tell at once what will never work.

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
