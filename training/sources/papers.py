"""A person's own papers: a CSV with a line for each, and their files beside it.

``pdf`` or ``text`` is the paper's file, in any format that the service reads, by its path from the
CSV's folder. ``title``, ``decision``, ``rating`` (several with ``;`` between them), ``split``,
``venue`` and ``id`` are optional; all other columns are kept, for splits by them.
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
from training.sources import Read, drawn_evenly
from training.sources.jsonl import sections_of

_FILES = ("pdf", "text")
_OWN = ("id", "title", "abstract", "decision", "rating", "split", "venue", *_FILES)
_ACCEPTED = ("accept", "oral", "poster", "spotlight", "yes", "true", "1")
_REJECTED = ("reject", "desk reject", "no", "false", "0")

Line = Mapping[str, str]


def lines_of(source: PapersSource, seed: int) -> list[Line]:
    """The CSV's lines that are to be read.

    Raises:
        InputMissing: there is no such CSV.
        InputInvalid: it is no CSV in UTF-8, or lacks a column; or a line has a decision or rating
            that is none, no file, or an id that an earlier one has.
    """
    path = source.csv
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            if not set(_FILES) & set(names):
                raise InputInvalid(
                    f"{path} has neither a column 'pdf' nor 'text': {', '.join(names)}"
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
    return drawn_evenly(lines, lambda line: line["decision"] == "accept", source.most, seed)


async def papers(source: PapersSource, lines: list[Line]) -> AsyncIterator[Read]:
    """The papers, read as the service reads them; one that can't be read is a reject."""
    async with PaperReader(load_settings()) as reader:
        for line in lines:
            yield await _read(source, reader, line)


def files(source: PapersSource, seed: int) -> list[Path]:
    """The CSV, and the files that it names and that are there."""
    named = [source.csv.parent / line["file"] for line in lines_of(source, seed)]
    return [source.csv, *(path for path in named if path.is_file())]


def _tidy(path: Path, number: int, line: Mapping[str | None, str | list[str] | None]) -> Line:
    where = f"{path}, line {number}"
    if None in line:
        raise InputInvalid(f"{where}: it has more fields than the first line names")
    values = {str(name): str(value or "").strip() for name, value in line.items()}
    file = next((values[name] for name in _FILES if values.get(name)), "")
    if not file:
        raise InputInvalid(f"{where}: it names no file")
    decision = _decision(values.get("decision", ""))
    if decision is None:
        raise InputInvalid(
            f"{where}: the decision {values['decision']!r} is neither an acceptance nor a rejection"
        )
    for number_told in _several(values.get("rating", "")):
        if not _is_number(number_told):
            raise InputInvalid(f"{where}: the rating {number_told!r} is no number")
    return {**values, "file": file, "decision": decision, "id": values.get("id") or file}


def _decision(told: str) -> Decision | str | None:
    """``accept``, ``reject``, empty where nothing is told; None for what is neither."""
    word = " ".join(told.lower().replace("-", " ").split())
    if not word:
        return ""
    if word.startswith(_ACCEPTED):
        return "accept"
    return "reject" if word.startswith(_REJECTED) else None


def _several(told: str) -> list[str]:
    return [part.strip() for part in told.split(";") if part.strip()]


def _is_number(told: str) -> bool:
    try:
        float(told)
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
