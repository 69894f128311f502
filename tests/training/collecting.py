"""Runs the stage collect, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.training.recipes import recipe_file
from training.collect import STAGE
from training.jsonl import read_rows
from training.manifest import Manifest
from training.rows import PaperRow, Rejected, load_papers
from training.stage import run_stage


def collected(
    folder: Path, sources: list[dict[str, Any]], benchmark: list[dict[str, Any]] | None = None
) -> tuple[Manifest, dict[str, PaperRow], dict[str, PaperRow], list[Rejected]]:
    recipe = recipe_file(folder, collect={"sources": sources, "benchmark": benchmark or []})
    manifest = run_stage(STAGE, recipe)
    out = folder / "out" / "collect"
    return (
        manifest,
        load_papers(out / "papers.jsonl"),
        load_papers(out / "benchmark.jsonl"),
        list(read_rows(out / "rejected.jsonl", Rejected)),
    )
