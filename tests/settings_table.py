"""Prints the README's table of settings: ``python -m tests.settings_table``."""

from __future__ import annotations

from app.settings import PREFIX, Settings
from tests.test_layout import documented_default


def table() -> str:
    rows = ["| variable | default | what it does |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        description = " ".join((field.description or "").split())
        rows.append(f"| `{PREFIX}{name.upper()}` | {documented_default(name)} | {description} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())  # noqa: T201
