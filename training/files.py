"""Names and folders of the files that one stage writes and another reads."""

from __future__ import annotations

from pathlib import Path

from training.recipe import Recipe
from training.stage import Name, stage_file

SHORT = {"tuned": "ft", "base": "base"}
"""The models' names in the benchmark's file names."""
PLOTS = ("calibration", "roc", "accept_rate")
CALIBRATION, CALIBRATION_REPORT = "calibration.json", "report.json"
CARD = "README.md"
ADAPTER = "adapter"
"""The folder of the adapter in that of ``sft``."""


def model_folder(recipe: Recipe) -> Path:
    """The merged model."""
    return stage_file(recipe, "merge", "model")


def rows_name(recipe: Recipe, model: str) -> str:
    return f"{recipe.benchmark.name}_{SHORT[model]}_full.jsonl"


def metrics_name(recipe: Recipe, model: str) -> str:
    return f"{recipe.benchmark.name}_{SHORT[model]}_metrics.json"


def plot_name(recipe: Recipe, plot: str) -> str:
    return f"{recipe.benchmark.name}_{plot}.png"


def stages_of(recipe: Recipe) -> list[Name]:
    """The stages before ``card``, in their order."""
    taught: list[Name] = ["teach"] if recipe.teach else []
    return ["collect", *taught, "filter", "sft", "merge", "benchmark", "calibrate"]


def papers_file(recipe: Recipe) -> Path:
    return stage_file(recipe, "collect", "papers.jsonl")


def split_file(recipe: Recipe, split: str) -> Path:
    return stage_file(recipe, "filter", f"{split}.jsonl")


def adapter_folder(recipe: Recipe) -> Path:
    return stage_file(recipe, "sft", ADAPTER)
