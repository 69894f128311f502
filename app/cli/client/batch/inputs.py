"""The papers of a batch: those in a folder, or those that a CSV file lists (the manifest)."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import ConfigurationError
from app.paper.sources import PAPER_SUFFIXES

_PATH, _ID = "path", "id"


@dataclass(frozen=True, slots=True)
class BatchPaper:
    path: str
    """Its name in the output: relative to the folder, or as written in the manifest."""
    file: Path
    id: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """The other columns of the manifest."""


@dataclass(frozen=True, slots=True)
class BatchInput:
    papers: list[BatchPaper]
    """Each path once."""
    notices: list[str]
    """For the user: what is left out, and why."""


def find_papers(source: Path) -> BatchInput:
    """The papers in a folder and its subfolders, or those that a manifest lists.

    Raises:
        ConfigurationError: there are none, or the manifest is not valid.
        OSError: something can't be read.
    """
    found = _in_folder(source) if source.is_dir() else _in_manifest(source)
    if not found.papers:
        raise ConfigurationError(
            f"{source} contains no papers{''.join(f'; {notice}' for notice in found.notices)}",
            code="no_papers",
        )
    return found


def _in_folder(folder: Path) -> BatchInput:
    papers: list[BatchPaper] = []
    others: Counter[str] = Counter()
    for file in sorted(_files(folder)):
        if file.suffix.lower() in PAPER_SUFFIXES:
            papers.append(BatchPaper(shown(file.relative_to(folder)), file))
        else:
            others[file.suffix.lower() or "no suffix"] += 1
    notices = []
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
        notices.append(f"files whose names are not those of papers: {others.total()} ({kinds})")
    return BatchInput(papers, notices)


def _files(folder: Path) -> Iterator[Path]:
    """Without hidden files, and without following links to folders, which may form a circle."""

    def refuse(error: OSError) -> None:
        raise error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))


def shown(path: Path) -> str:
    """The path as text. Bytes of a name that are not UTF-8 become ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _in_manifest(manifest: Path) -> BatchInput:
    try:
        # Excel begins its UTF-8 with a byte order mark.
        with manifest.open(encoding="utf-8-sig", newline="") as lines:
            return _read_manifest(manifest, csv.reader(lines, strict=True))
    except UnicodeDecodeError as error:
        raise _wrong(f"manifest {manifest} is not UTF-8 (byte {error.start})") from error


def _read_manifest(manifest: Path, rows: Iterator[list[str]]) -> BatchInput:
    papers: dict[str, BatchPaper] = {}
    notices: list[str] = []
    try:
        columns = _columns(manifest, next(rows, []))
        for number, row in enumerate(rows, start=2):
            if row:
                paper = _paper(manifest, number, columns, row)
                if paper.path in papers:
                    notices.append(
                        f"row {number} of the manifest names {paper.path} again: reviewed once, "
                        "as its first row says"
                    )
                papers.setdefault(paper.path, paper)
    except csv.Error as error:
        raise _wrong(f"manifest {manifest} is not valid CSV: {error}") from error
    return BatchInput(list(papers.values()), notices)


def _columns(manifest: Path, header: list[str]) -> list[str]:
    columns = [name.strip() for name in header]
    if not columns:
        raise _wrong(f"manifest {manifest} is empty")
    if _PATH not in columns:
        raise _wrong(
            f"manifest {manifest} has no column 'path'; its first row is: {', '.join(columns)}"
        )
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise _wrong(f"manifest {manifest} has more than one column {twice[0]!r}")
    return columns


def _paper(manifest: Path, number: int, columns: list[str], row: list[str]) -> BatchPaper:
    if len(row) != len(columns):
        raise _wrong(
            f"manifest {manifest}, row {number}: {len(row)} cells, but {len(columns)} columns"
        )
    cells = dict(zip(columns, row, strict=True))
    path = cells.pop(_PATH).strip()
    if not path:
        raise _wrong(f"manifest {manifest}, row {number}: no path")
    return BatchPaper(path, manifest.parent / path, cells.pop(_ID, None), cells)


def _wrong(message: str) -> ConfigurationError:
    return ConfigurationError(message, code="manifest_invalid")
