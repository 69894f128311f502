"""The output as a CSV file that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from app.errors import ConfigurationError

Line = dict[str, Any]

_COLUMNS = (
    "path",
    "id",
    "sha256",
    "status",
    "decision",
    "probability",
    "calibrated",
    "title",
    "pages",
    "hidden_text",
    "truncated",
    "model",
    "template",
    "error_code",
    "error_message",
    "duplicate_of",
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How cells begin that a spreadsheet treats as formulas (OWASP, CSV injection); the last four are
the full-width forms of East Asian fonts. Tabs and line ends are replaced before."""
_BLANKS = re.compile(r"[\x00-\x20\x7f\s]+")


def check_table(path: Path) -> None:
    """
    Raises:
        ConfigurationError: there is a file at the path that is not such a table.
        OSError: it can't be written.
    """
    if path.exists() and not path.is_file():
        raise _refused(f"{path} is not a file")
    with path.open("ab+") as file:
        file.seek(0)
        begins = file.read(64)
    if begins and not begins.startswith(_header(()).encode("utf-8-sig")[:64]):
        raise _refused(f"{path} is not a table of 'reviewer batch': name another --csv")


def write_table(path: Path, lines: Callable[[], Iterable[Line]]) -> None:
    """One row for each paper. ``lines`` is called twice, each time for all lines."""
    extra = list(dict.fromkeys(name for line in lines() for name in line["manifest"]))
    new = path.with_name(f".{path.name}.new")
    # Excel recognises UTF-8 by the byte order mark.
    with new.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as file:
        file.write(_header(extra))
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        for line in lines():
            writer.writerow([safe(cell) for cell in _cells(line, extra)])
    new.replace(path)


def safe(cell: object) -> str:
    """The cell on one line, marked as text if a spreadsheet would read a formula."""
    text = _BLANKS.sub(" ", "" if cell is None else str(cell)).strip()
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _header(extra: Iterable[str]) -> str:
    names = [*_COLUMNS, *(f"manifest.{name}" for name in extra)]
    quoted = (safe(name).replace('"', '""') for name in names)
    return ",".join(f'"{name}"' for name in quoted) + "\r\n"


def _cells(line: Line, extra: list[str]) -> Iterator[object]:
    review, error = line.get("review") or {}, line.get("error") or {}
    verdict, paper = review.get("verdict", {}), review.get("paper", {})
    integrity = review.get("integrity", {})
    yield from (line["path"], line["id"], line["sha256"], line["status"])
    yield from (verdict.get("decision"), verdict.get("probability"), verdict.get("calibrated"))
    yield from (paper.get("title"), paper.get("pages"))
    yield len(integrity["hidden_text"]) if integrity else None
    yield len(integrity["truncated"]) if integrity else None
    yield from (line["model"], line["parameters"]["template"])
    yield from (error.get("code"), error.get("message"), line.get("duplicate_of"))
    yield from (line["manifest"].get(name) for name in extra)


def _refused(message: str) -> ConfigurationError:
    return ConfigurationError(message, code="output_refused")
