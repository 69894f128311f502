"""Reads papers from files, links and texts, in worker processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeVar, TypeVarTuple

from app.paper.fetch import Fetcher
from app.paper.model import Paper
from app.paper.pdf.drawing import draw_page, page_sizes
from app.paper.pdf.extract import ExtractOptions
from app.paper.pdf.overlay import draw_overlay
from app.paper.pool import WorkerPool
from app.paper.reading import read_file
from app.paper.screening.screen import screen
from app.paper.sources import File, Link, Source
from app.settings import Settings

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class PaperReader:
    """Reads several papers at a time. Cancelling a call ends its work."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = WorkerPool(settings)
        self._fetcher = Fetcher(settings)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._pool.__aexit__(*exc)
        await self._fetcher.aclose()

    async def read(self, source: Source, *, blind: bool = True) -> Paper:
        """Read a paper; with ``blind``, text that reveals authors, venue or decision is removed.

        Raises:
            PaperError: the file can't be read; subclasses give the reason.
            InvalidRequest: the link is not allowed.
        """
        if isinstance(source, Paper):
            return await self._pool.run(screen, source, blind, returns=Paper)
        file = await self._file(source)
        options = self._options(blind=blind)
        return await self._pool.run(read_file, file.data, file.name, options, returns=Paper)

    async def overlay(self, source: File | Link) -> bytes:
        """The PDF with the blocks that :meth:`read` recognises drawn on its pages."""
        file = await self._file(source)
        return await self._pool.run(
            draw_overlay, file.data, self._options(blind=False), returns=bytes
        )

    async def page_sizes(self, file: File) -> list[tuple[float, float]]:
        """Width and height of each page of a PDF in points. Raises PaperError."""
        most = self._settings.max_pages
        return await self._pool.run(page_sizes, file.data, most, returns=list[tuple[float, float]])

    async def page_image(self, file: File, number: int, scale: float) -> bytes:
        """A page as a PNG; see :func:`app.paper.pdf.drawing.draw_page`."""
        most = self._settings.max_pages
        return await self._pool.run(draw_page, file.data, number, scale, most, returns=bytes)

    async def run(self, function: Callable[[*Ts], T], *args: *Ts, returns: type[T]) -> T:
        """Run other work on a paper in the worker processes, within the same limits.

        ``function`` must be defined at its module's top level; ``returns`` is its result's type.

        Raises:
            PaperError: ExtractionTimeout or ExtractionCrashed.
        """
        return await self._pool.run(function, *args, returns=returns)

    async def fetch(self, link: Link) -> File:
        """Fetch the file of a link.

        Raises:
            FetchFailed: the host does not answer with a paper.
            InvalidRequest: the link is not allowed.
        """
        return File(await self._fetcher.fetch(link.url))

    async def _file(self, source: File | Link) -> File:
        return await self.fetch(source) if isinstance(source, Link) else source

    def _options(self, *, blind: bool) -> ExtractOptions:
        return ExtractOptions(
            self._settings.max_pages, blind=blind, ocr=self._settings.ocr == "auto"
        )
