"""The stored papers of reviews: the file itself, its pages as images, and its text."""

from __future__ import annotations

import asyncio
from typing import BinaryIO

import msgspec

from app.errors import NotAPdf, PaperNotStored
from app.jobs.cache import ByteCache
from app.jobs.sources import read_source
from app.paper.model import Paper
from app.paper.pdf.drawing import check_drawable
from app.paper.pdf.extract import is_pdf
from app.paper.reader import PaperReader
from app.paper.sources import File
from app.settings import Settings
from app.store.store import Store
from app.store.tables import ReviewRow


class StoredPapers:
    """Each tenant can access only the papers of its own reviews.

    All methods raise ``ReviewNotFound`` for an id that is not one of the tenant's, and
    ``PaperNotStored`` if the review has no file in the store.
    """

    def __init__(self, settings: Settings, store: Store, reader: PaperReader) -> None:
        self._store = store
        self._reader = reader
        self._cache = ByteCache(int(settings.page_cache_mb * 1e6))

    async def open(self, review_id: str, tenant: str) -> tuple[str, BinaryIO]:
        """The file's hash, and the open file, which the caller must close."""
        row = await self._store.reviews.get(review_id, tenant)
        if row.source == "file" and row.blob_sha256:
            file = await asyncio.to_thread(self._store.papers.open, row.blob_sha256)
            if file:
                return row.blob_sha256, file
        raise _not_stored()

    async def sizes(self, review_id: str, tenant: str) -> list[tuple[float, float]]:
        """Width and height of each page in PDF points.

        Raises:
            NotAPdf: the paper is not a PDF, and so has no pages to show.
            PaperError: it can't be opened.
        """
        return await self._sizes(await self._pdf(review_id, tenant))

    async def image(
        self, review_id: str, tenant: str, number: int, scale: float
    ) -> tuple[str, bytes]:
        """A name that changes with the image's content, and page ``number`` as a PNG.

        Raises:
            NotAPdf: the paper is not a PDF.
            PageNotFound: it has fewer pages.
            InvalidRequest: the image would be too large (``scale_too_large``).
            PaperError: the page can't be drawn.
        """
        row = await self._pdf(review_id, tenant)
        check_drawable(await self._sizes(row), number, scale)

        async def draw() -> bytes:
            return await self._reader.page_image(await self._file(row), number, scale)

        key = (row.blob_sha256, number, scale)
        return f"{row.blob_sha256}-{number}-{scale:g}", await self._cache.get(key, draw)

    async def text(self, review_id: str, tenant: str) -> Paper:
        """The paper as it is read, without blinding.

        Raises:
            PaperError: it can't be read.
        """
        row = await self._store.reviews.get(review_id, tenant)

        async def read() -> bytes:
            if row.source == "link":
                raise _not_stored()
            source = await asyncio.to_thread(read_source, row, self._store.papers)
            return msgspec.json.encode(await self._reader.read(source, blind=False))

        encoded = await self._cache.get((row.blob_sha256, "text", row.name), read)
        return await asyncio.to_thread(msgspec.json.decode, encoded, type=Paper)

    async def _sizes(self, row: ReviewRow) -> list[tuple[float, float]]:
        async def measure() -> bytes:
            return msgspec.json.encode(await self._reader.page_sizes(await self._file(row)))

        encoded = await self._cache.get((row.blob_sha256, "sizes"), measure)
        return msgspec.json.decode(encoded, type=list[tuple[float, float]])

    async def _pdf(self, review_id: str, tenant: str) -> ReviewRow:
        """The row of a review whose paper is in the store as a file."""
        row = await self._store.reviews.get(review_id, tenant)
        if row.source == "text":
            raise NotAPdf("The paper was sent as text: it has no pages.", param="review_id")
        if row.source == "link" or not row.blob_sha256:
            raise _not_stored()
        return row

    async def _file(self, row: ReviewRow) -> File:
        data = await asyncio.to_thread(self._store.papers.load, str(row.blob_sha256))
        if data is None:
            raise _not_stored()
        if not is_pdf(data):
            raise NotAPdf("The paper is not a PDF: it has no pages.", param="review_id")
        return File(data, row.name)


def _not_stored() -> PaperNotStored:
    return PaperNotStored("No file is stored for this review's paper.", param="review_id")
