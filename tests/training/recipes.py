"""Recipes for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]


def recipe_file(folder: Path, **sections: dict[str, Any]) -> Path:
    """A small recipe that writes to ``folder/out``; ``sections`` replace its own."""
    recipe: dict[str, Any] = {
        "run": {"name": "test", "output": str(folder / "out")},
        "model": {"base": "smollm2"},
        "collect": {},
        "filter": {"targets": "human", "val_fraction": 0.25},
        "card": {"title": "Test"},
        **sections,
    }
    folder.mkdir(exist_ok=True)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return path
