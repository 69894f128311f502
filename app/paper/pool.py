"""Worker processes that read PDFs, so that a hostile one costs its own request and nothing else."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import resource
from concurrent.futures.process import BrokenProcessPool

from pebble import ProcessExpired, ProcessPool

from app.errors import ExtractionCrashed, ExtractionTimeout
from app.paper.extract import extract_paper
from app.paper.model import Paper
from app.settings import Settings

log = logging.getLogger(__name__)

_MIB = 2**20


class PaperReader:
    """Reads PDFs in a pool of spawned processes; a process that hangs or dies is replaced."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = self._new_pool()

    async def read(self, data: bytes) -> Paper:
        """The paper in a PDF.

        Raises:
            PaperError: a subclass says what is wrong with the file.
        """
        limit = self._settings.extract_timeout_s
        try:
            return await self._extracted(data)
        except BrokenProcessPool:
            # A worker died while it had nothing to do; no document is to blame.
            return await self._extracted(data)
        except TimeoutError as error:
            raise ExtractionTimeout(
                f"The PDF took longer than {limit:g} s to read.", param="file"
            ) from error
        except MemoryError as error:
            raise ExtractionCrashed(
                "The PDF needs too much memory to read.", param="file"
            ) from error
        except ProcessExpired as error:
            log.warning("a PDF ended its worker process (exit code %s)", error.exitcode)
            raise ExtractionCrashed(
                "The PDF broke the process that read it.", param="file"
            ) from error

    async def close(self) -> None:
        """End the processes, whatever they are reading."""
        self._pool.stop()
        await asyncio.to_thread(self._pool.join)

    async def _extracted(self, data: bytes) -> Paper:
        if not self._pool.active:
            broken, self._pool = self._pool, self._new_pool()
            broken.stop()
            await asyncio.to_thread(broken.join)
        settings = self._settings
        future = self._pool.schedule(
            extract_paper, args=(data, settings.max_pages), timeout=settings.extract_timeout_s
        )
        return await asyncio.wrap_future(future)

    def _new_pool(self) -> ProcessPool:
        settings = self._settings
        # Spawned, not forked: the service's process has threads and an engine's connections in it.
        return ProcessPool(
            max_workers=settings.extract_workers,
            max_tasks=settings.extract_tasks_per_worker,
            initializer=_limit_memory,
            initargs=(settings.extract_memory_mb * _MIB,),
            context=multiprocessing.get_context("spawn"),
        )


def _limit_memory(size: int) -> None:
    """Refuse the process more than ``size`` bytes of address space."""
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
