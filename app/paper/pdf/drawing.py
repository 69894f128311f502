"""Draws a PDF's pages as images. Runs in a worker process; see :mod:`app.paper.pdf.extract`."""

from __future__ import annotations

import pymupdf

from app.errors import InvalidRequest, PageNotFound, PaperError
from app.paper.pdf.extract import open_pdf

MOST_PIXELS = 8_000_000
"""Of one image: an A4 page at almost four pixels per point. It takes three bytes per pixel."""


def page_sizes(data: bytes, max_pages: int) -> list[tuple[float, float]]:
    """Width and height of each page as it is displayed, in PDF points.

    Raises:
        PaperError: the file can't be read; subclasses give the reason.
    """
    with open_pdf(data, max_pages) as document:
        return [(page.rect.width, page.rect.height) for page in document]


def draw_page(data: bytes, number: int, scale: float, max_pages: int) -> bytes:
    """Page ``number`` (from 1) as a PNG with ``scale`` pixels per PDF point.

    Raises:
        PaperError: the file can't be read; subclasses give the reason.
    """
    with open_pdf(data, max_pages) as document:
        pixels = document[number - 1].get_pixmap(matrix=pymupdf.Matrix(scale, scale), alpha=False)
        drawn: bytes = pixels.tobytes("png")
        return drawn


def check_drawable(sizes: list[tuple[float, float]], number: int, scale: float) -> None:
    """Check that :func:`draw_page` can draw this page.

    Raises:
        PageNotFound: there is no such page.
        InvalidRequest: the image would be too large.
    """
    if number > len(sizes):
        raise PageNotFound(f"The paper has {len(sizes)} pages.", param="page")
    width, height = sizes[number - 1]
    if not (width > 0 and height > 0):
        raise PaperError(f"Page {number} has no area.", param="page")
    largest = largest_scale(width, height)
    if scale > largest:
        raise InvalidRequest(
            f"Page {number} can be drawn at a scale of {largest:.2f} at most.",
            param="scale",
            code="scale_too_large",
        )


def largest_scale(width: float, height: float) -> float:
    """The largest scale of a page of this size, rounded down to hundredths."""
    return int(100 * (MOST_PIXELS / max(width * height, 1.0)) ** 0.5) / 100
