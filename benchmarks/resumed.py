"""What benchmarks share that take hours and go on where they ended: rows in a JSONL file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.service import Service
from training.jsonl import Appender, drop_partial_line, read_rows


def rows_of(path: Path) -> list[dict[str, Any]]:
    """All rows; half a line, which a killed run has left, is removed from the file."""
    drop_partial_line(path)
    return list(read_rows(path, dict[str, Any])) if path.is_file() else []


@contextmanager
def reviewer_and_rows(model: str, out: Path) -> Iterator[tuple[Service, Appender]]:
    """A service with ``model`` that stores nothing, and the end of the file of rows."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "log", REVIEWER_MODEL=model, REVIEWER_RETENTION="none") as service,
        Appender(out) as rows,
    ):
        yield service, rows
