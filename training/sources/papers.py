"""Reads the user's own papers: a CSV file with a line for each paper, and the papers' files.

The column ``pdf`` or ``text`` is the path of a file, relative to the CSV's folder, in any format
that the service reads. ``title``, ``abstract``, ``decision``, ``rating`` (several separated by
``;``), ``split``, ``venue`` and ``id`` are optional. All other columns are kept, for splits.
"""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from app.errors import PaperError
from app.paper.model import Paper
from app.paper.reader import PaperReader
from app.paper.sources import File
from app.review.decision import Decision
from app.settings import load_settings
from training.errors import InputInvalid, InputMissing
from training.recipe_sources import PapersSource
from training.rows import PaperRow, Rejected
from training.sources import Read, balanced_sample
from training.sources.jsonl import sections_of

_FILES = ("pdf", "text")
_OWN = ("id", "title", "abstract", "decision", "rating", "split", "venue", *_FILES)
_ACCEPTED = ("accept", "oral", "poster", "spotlight", "yes", "true", "1")
_REJECTED = ("reject", "desk reject", "no", "false", "0")

Line = Mapping[str, str]


def lines_of(source: PapersSource, seed: int) -> list[Line]:
    """The lines of the CSV, or a sample of them.

    Raises:
        InputMissing: there is no such file.
        InputInvalid: it is not a UTF-8 CSV, or lacks a column; or a line has an invalid decision or
            rating, no file, or a duplicate id.
    """
    path = source.csv
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            if not set(_FILES) & set(names):
                raise InputInvalid(
                    f"{path} has neither a column 'pdf' nor 'text'; its columns: {', '.join(names)}"
                )
            lines = [_tidy(path, number, line) for number, line in enumerate(reader, 2)]
    except FileNotFoundError as error:
        raise InputMissing(f"{path}: there is no such file") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputInvalid(f"{path} can't be read as a CSV in UTF-8: {error}") from error
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, 2):
        if line["id"] in seen:
            raise InputInvalid(
                f"{path}, line {number}: the id {line['id']!r} is that of line {seen[line['id']]}"
            )
        seen[line["id"]] = number
    return balanced_sample(lines, lambda line: line["decision"] == "accept", source.most, seed)


async def papers(source: PapersSource, lines: list[Line]) -> AsyncIterator[Read]:
    """The papers, read with the service's code; one that can't be read is a rejected row."""
    async with PaperReader(load_settings()) as reader:
        for line in lines:
            yield await _read(source, reader, line)


def files(source: PapersSource, seed: int) -> list[Path]:
    """The CSV, and those of its papers' files that exist."""
    named = [source.csv.parent / line["file"] for line in lines_of(source, seed)]
    return [source.csv, *(path for path in named if path.is_file())]


def _tidy(path: Path, number: int, line: Mapping[str | None, str | list[str] | None]) -> Line:
    where = f"{path}, line {number}"
    if None in line:
        raise InputInvalid(f"{where}: it has more fields than the header")
    values = {str(name): str(value or "").strip() for name, value in line.items()}
    file = next((values[name] for name in _FILES if values.get(name)), "")
    if not file:
        raise InputInvalid(f"{where}: it names no file")
    decision = _decision(values.get("decision", ""))
    if decision is None:
        raise InputInvalid(
            f"{where}: the decision {values['decision']!r} is neither an acceptance nor a rejection"
        )
    for rating in _several(values.get("rating", "")):
        if not _is_number(rating):
            raise InputInvalid(f"{where}: the rating {rating!r} is not a number")
    return {**values, "file": file, "decision": decision, "id": values.get("id") or file}


def _decision(value: str) -> Decision | str | None:
    """``accept`` or ``reject``; empty for an empty value; None if it is neither."""
    word = " ".join(value.lower().replace("-", " ").split())
    if not word:
        return ""
    if word.startswith(_ACCEPTED):
        return "accept"
    return "reject" if word.startswith(_REJECTED) else None


def _several(value: str) -> list[str]:
    return [part.strip() for part in value.split(";") if part.strip()]


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


async def _read(source: PapersSource, reader: PaperReader, line: Line) -> Read:
    row_id = f"papers/{line['id']}"
    path = source.csv.parent / line["file"]
    try:
        data = await asyncio.to_thread(path.read_bytes)
        paper = await reader.read(File(data, path.name), blind=True)
    except OSError as error:
        return _rejected(row_id, "no_file", f"{path}: {error.strerror}")
    except PaperError as error:
        return _rejected(row_id, error.code, str(error))
    return _row(source, row_id, line, paper)


def _rejected(row_id: str, reason: str, detail: str) -> Rejected:
    return Rejected(id=row_id, paper=row_id, source="papers", reason=reason, detail=detail)


def _row(source: PapersSource, row_id: str, line: Line, paper: Paper) -> Read:
    sections = sections_of(paper)
    if not any(section.text.strip() for section in sections):
        return _rejected(row_id, "no_text", "")
    decision: Decision | None = "accept" if line["decision"] == "accept" else None
    if line["decision"] == "reject":
        decision = "reject"
    return PaperRow(
        id=row_id,
        source="papers",
        venue=line.get("venue") or source.csv.stem,
        split=line.get("split", "").lower(),
        title=line.get("title") or paper.title,
        abstract=line.get("abstract") or paper.abstract,
        sections=sections,
        decision=decision,
        decision_source=f"the column 'decision' of {source.csv.name}",
        ratings=tuple(map(float, _several(line.get("rating", "")))),
        rating_scale=source.rating_scale,
        columns={name: value for name, value in line.items() if name not in (*_OWN, "file")},
    )
