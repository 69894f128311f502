"""Worker processes that read PDFs, so that a hostile one costs its own request and nothing else."""

from __future__ import annotations

import logging
import math
import os
import resource

import anyio
from anyio import BrokenWorkerProcess, CapacityLimiter, to_process

from app.errors import ExtractionCrashed, ExtractionTimeout
from app.paper.extract import extract_paper
from app.paper.model import Paper
from app.settings import Settings

log = logging.getLogger(__name__)

_MIB = 2**20


class PaperReader:
    """Reads PDFs in processes of their own, some at a time.

    The processes are fresh interpreters, not forks: the service's has threads and an engine's
    connections in it. They are kept for the next paper; one that hangs is killed, and all end with
    the event loop.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._free = CapacityLimiter(settings.extract_workers)
        self._any = CapacityLimiter(math.inf)

    async def read(self, data: bytes) -> Paper:
        """The paper in a PDF. Cancelling it kills the process.

        Raises:
            PaperError: a subclass says what is wrong with the file.
        """
        limit = self._settings.extract_timeout_s
        # The clock starts when a process is free, so that a queue is nobody's time-out.
        async with self._free:
            try:
                with anyio.fail_after(limit):
                    return await to_process.run_sync(
                        _extract_within,
                        self._settings.extract_memory_mb * _MIB,
                        data,
                        self._settings.max_pages,
                        cancellable=True,
                        limiter=self._any,
                    )
            except TimeoutError as error:
                raise ExtractionTimeout(
                    f"The PDF took longer than {limit:g} s to read.", param="file"
                ) from error
            except BrokenWorkerProcess as error:
                log.warning("a PDF ended the process that read it")
                raise ExtractionCrashed(
                    "The PDF broke the process that read it, or needs too much memory.",
                    param="file",
                ) from error


def _extract_within(memory: int, data: bytes, max_pages: int) -> Paper:
    """In the worker: read with at most ``memory`` bytes of address space."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    try:
        return extract_paper(data, max_pages)
    except MemoryError:
        os._exit(1)
