"""The output of every benchmark: a table, and one JSON line at the end."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from app import __version__

Value = str | int | float | None


def report(name: str, setting: str, rows: Sequence[Mapping[str, Value]], **results: Value) -> None:
    """Print the rows as a table, and everything as JSON."""
    console = Console(width=100)
    table = Table(*rows[0], title=f"{name}: {setting}")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    console.print(table)
    machine = {"cores": os.cpu_count(), "machine": platform.machine()}
    whole = {"benchmark": name, "version": __version__, "setting": setting, **machine}
    print(json.dumps({**whole, **results, "rows": list(rows)}))
