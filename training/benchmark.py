"""Reviews the benchmark's papers as the service would, and measures what that is worth.

python -m training.benchmark --recipe training/recipes/full.yaml

For the tuned and the base model (``ft``, ``base``) it leaves ``<name>_<model>_full.jsonl``, a row
for each paper, ``<name>_<model>_metrics.json``, and three plots. A killed run keeps its reviews.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from app.engine.launcher import engine_launcher
from app.settings import Settings
from training import plots
from training.base import base_folder
from training.baselines import deciding
from training.manifest import write_atomically
from training.metrics import ACCEPT, Outcomes
from training.recipe import Recipe
from training.report import SHOWN, Judged, Rivals, judged, outcomes, report, rivals_of
from training.reviewing import Launcher, review_papers, reviewing_settings
from training.rows import PaperRow, ReviewedRow, load_papers
from training.stage import Job, Stage, command, required, stage_file

SHORT = {"tuned": "ft", "base": "base"}
"""What the files are called by."""
PLOTS = ("calibration", "roc", "accept_rate")


def benchmark_stage(launcher: Launcher = engine_launcher) -> Stage:
    """The stage; ``launcher`` starts the engines."""

    def main(job: Job) -> Mapping[str, Any]:
        asked = job.recipe.benchmark
        papers = _papers(job.recipe)
        of = judged(papers, asked.label)
        reviewed: dict[str, Sequence[ReviewedRow]] = {}
        # The base first: the tuned model's figures stand beside its.
        for model in sorted(asked.models):
            settings = _settings(job.recipe, model)
            path = job.folder / _file(job.recipe, model, "full.jsonl")
            reviewed[model] = review_papers(job, papers, asked, launcher(settings), settings, path)
        rivals = rivals_of(of, _train(job.recipe), job.seed)
        reports = {model: _measure(job, model, of, reviewed, rivals) for model in reviewed}
        _plot(job, of, reviewed, rivals)
        _show(job, reports)
        return _counts(of, reports)

    return Stage(
        name="benchmark",
        sections=("model", "benchmark"),
        inputs=_inputs,
        outputs=_outputs,
        main=main,
    )


def tuned_folder(recipe: Recipe) -> Path:
    return stage_file(recipe, "merge", "model")


def _papers(recipe: Recipe) -> list[PaperRow]:
    path = stage_file(recipe, "collect", "benchmark.jsonl")
    papers = list(load_papers(path).values())[: recipe.benchmark.most]
    return list(required(papers, path, "papers"))


def _train(recipe: Recipe) -> Judged | None:
    if recipe.benchmark.baselines_from == "benchmark":
        return None
    path = stage_file(recipe, "collect", "papers.jsonl")
    return judged(list(load_papers(path).values()), recipe.benchmark.label)


def _inputs(recipe: Recipe) -> list[Path]:
    asked = recipe.benchmark
    paths = [stage_file(recipe, "collect", "benchmark.jsonl")]
    if asked.baselines_from == "train":
        paths.append(stage_file(recipe, "collect", "papers.jsonl"))
    if "tuned" in asked.models and asked.upstream_url is None:
        paths.append(tuned_folder(recipe))
    return paths


def _outputs(recipe: Recipe) -> list[str]:
    models = sorted(recipe.benchmark.models)
    files = [
        _file(recipe, model, kind) for model in models for kind in ("full.jsonl", "metrics.json")
    ]
    return [*files, *(f"{recipe.benchmark.name}_{plot}.png" for plot in PLOTS)]


def _file(recipe: Recipe, model: str, kind: str) -> str:
    return f"{recipe.benchmark.name}_{SHORT[model]}_{kind}"


def _settings(recipe: Recipe, model: str) -> Settings:
    asked = recipe.benchmark
    if asked.upstream_url is not None:
        return reviewing_settings(
            asked,
            engine="upstream",
            upstream_url=asked.upstream_url,
            model=asked.upstream_model,
            upstream_tokenizer=str(base_folder(recipe.model, tokenizer_only=True)),
        )
    folder = tuned_folder(recipe) if model == "tuned" else base_folder(recipe.model)
    return reviewing_settings(asked, engine="vllm", model=str(folder))


def _measure(
    job: Job,
    model: str,
    of: Judged,
    reviewed: Mapping[str, Sequence[ReviewedRow]],
    rivals: Rivals,
) -> dict[str, Any]:
    asked = job.recipe.benchmark
    base = reviewed.get("base") if model == "tuned" else None
    measured = {
        "benchmark": asked.name,
        "reviewer": model,
        **report(of, reviewed[model], rivals, base, asked, job.seed),
    }
    path = job.folder / _file(job.recipe, model, "metrics.json")
    write_atomically(path, json.dumps(measured, indent=2, allow_nan=False) + "\n")
    return measured


def _plot(
    job: Job, of: Judged, reviewed: Mapping[str, Sequence[ReviewedRow]], rivals: Rivals
) -> None:
    classes = job.recipe.benchmark.length_classes
    models = {model: outcomes(of, rows, classes) for model, rows in reviewed.items()}
    one = next(iter(models.values()))
    others = {
        name: deciding(one, told)
        for name, told in (("length only", rivals.length), ("bag of words", rivals.words))
        if not isinstance(told, str)
    }
    paths = [job.folder / f"{job.recipe.benchmark.name}_{plot}.png" for plot in PLOTS]
    plots.reliability(paths[0], models)
    plots.roc(paths[1], {**models, **others})
    plots.accept_rates(paths[2], _accept_rates(of, models))


def _accept_rates(of: Judged, models: Mapping[str, Outcomes]) -> dict[str, dict[str, float]]:
    venues = np.array([paper.venue for paper in of.papers])
    rates = {}
    for venue in np.unique(venues):
        within = venues == venue
        told = {model: float(np.mean(o.answers[within] == ACCEPT)) for model, o in models.items()}
        rates[str(venue)] = {"truth": float(np.mean(of.truths[within])), **told}
    return rates


def _show(job: Job, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Each reviewer, then what stands beside the last of them."""
    columns = {model: found["figures"] for model, found in reports.items()}
    *_, last = reports.values()
    for name, beside in last["baselines"].items():
        if name != "base_model" and beside["figures"]:
            columns[name] = beside["figures"]
    table = Table("", *columns, title=f"{last['papers']} papers, {last['accepted']} accepted")
    for name in SHOWN:
        table.add_row(name, *(_cell(figures[name]) for figures in columns.values()))
    job.console.print(table)


def _cell(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return "undefined"
    if figure["low"] is None:
        return f"{figure['value']:.2f}"
    return f"{figure['value']:.2f} ({figure['low']:.2f} to {figure['high']:.2f})"


def _counts(of: Judged, reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "papers": len(of.papers) + sum(of.unlabelled.values()),
        "labelled": len(of.papers),
        "accepted": int(np.sum(of.truths)),
        **{f"unparsed: {model}": _unparsed(found) for model, found in reports.items()},
    }


def _unparsed(found: Mapping[str, Any]) -> int:
    return sum(answers["unparsed"] for answers in found["confusion"].values())


STAGE = benchmark_stage()

if __name__ == "__main__":
    command(STAGE)
