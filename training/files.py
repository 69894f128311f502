"""Where the stages after training leave what others read: they meet through files alone."""

from __future__ import annotations

from pathlib import Path

from training.recipe import Recipe
from training.stage import Name, stage_file

SHORT = {"tuned": "ft", "base": "base"}
"""What the benchmark's files call the models."""
PLOTS = ("calibration", "roc", "accept_rate")
CALIBRATION, CALIBRATION_REPORT = "calibration.json", "report.json"
CARD = "README.md"


def model_folder(recipe: Recipe) -> Path:
    """What merge made."""
    return stage_file(recipe, "merge", "model")


def rows_name(recipe: Recipe, model: str) -> str:
    return f"{recipe.benchmark.name}_{SHORT[model]}_full.jsonl"


def metrics_name(recipe: Recipe, model: str) -> str:
    return f"{recipe.benchmark.name}_{SHORT[model]}_metrics.json"


def plot_name(recipe: Recipe, plot: str) -> str:
    return f"{recipe.benchmark.name}_{plot}.png"


def stages_of(recipe: Recipe) -> list[Name]:
    """The stages that the card tells of, in their order."""
    taught: list[Name] = ["teach"] if recipe.teach else []
    return ["collect", *taught, "filter", "sft", "merge", "benchmark", "calibrate"]
