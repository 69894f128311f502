"""Writes the benchmark's metrics files and plots, and prints a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from training import plots
from training.baselines import at_same_rate
from training.files import PLOTS, metrics_name, plot_name
from training.manifest import write_atomically
from training.metrics import ACCEPT, Outcomes
from training.report import (
    SHOWN,
    LabelledPapers,
    TextBaselines,
    fit_text_baselines,
    outcomes,
    report,
)
from training.rows import ReviewedRow
from training.stage import Job, stage_file


def write_results(
    job: Job,
    labelled: LabelledPapers,
    train: LabelledPapers | None,
    reviewed: Mapping[str, Sequence[ReviewedRow]],
    served: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Write all files; return the counts for the manifest. The bootstrap may take minutes."""
    text_baselines = fit_text_baselines(labelled, train, job.seed)
    about = {"leaks": _leaks(job)}
    reports = {
        model: _measure(
            job, model, labelled, reviewed, text_baselines, {**about, "as_served": served[model]}
        )
        for model in reviewed
    }
    _plot(job, labelled, reviewed, text_baselines)
    _show(job, reports)
    return _counts(labelled, reports)


def _measure(
    job: Job,
    model: str,
    labelled: LabelledPapers,
    reviewed: Mapping[str, Sequence[ReviewedRow]],
    text_baselines: TextBaselines,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    options = job.recipe.benchmark
    base = reviewed.get("base") if model == "tuned" else None
    measured = {
        "benchmark": options.name,
        "reviewer": model,
        **report(labelled, reviewed[model], text_baselines, base, options, job.seed),
        **about,
    }
    path = job.folder / metrics_name(job.recipe, model)
    write_atomically(path, json.dumps(measured, indent=2, allow_nan=False) + "\n")
    return measured


def _leaks(job: Job) -> Any:
    """The result of :mod:`training.leaks` for the collected papers."""
    return json.loads(stage_file(job.recipe, "collect", "leaks.json").read_bytes())


def _plot(
    job: Job,
    labelled: LabelledPapers,
    reviewed: Mapping[str, Sequence[ReviewedRow]],
    text_baselines: TextBaselines,
) -> None:
    classes = job.recipe.benchmark.length_classes
    models = {model: outcomes(labelled, rows, classes) for model, rows in reviewed.items()}
    one = next(iter(models.values()))
    others = {
        name: at_same_rate(one, probabilities)
        for name, probabilities in (
            ("length only", text_baselines.length),
            ("bag of words", text_baselines.words),
        )
        if not isinstance(probabilities, str)
    }
    paths = [job.folder / plot_name(job.recipe, plot) for plot in PLOTS]
    plots.reliability(paths[0], models)
    plots.roc(paths[1], {**models, **others})
    plots.accept_rates(paths[2], _accept_rates(labelled, models))


def _accept_rates(
    labelled: LabelledPapers, models: Mapping[str, Outcomes]
) -> dict[str, dict[str, float]]:
    venues = np.array([paper.venue for paper in labelled.papers])
    rates = {}
    for venue in np.unique(venues):
        within = venues == venue
        predicted = {
            model: float(np.mean(o.answers[within] == ACCEPT)) for model, o in models.items()
        }
        rates[str(venue)] = {"truth": float(np.mean(labelled.truths[within])), **predicted}
    return rates


def _show(job: Job, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Print the metrics of each reviewer, and of the baselines of the last one."""
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


def _counts(labelled: LabelledPapers, reports: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "papers": len(labelled.papers) + sum(labelled.unlabelled.values()),
        "labelled": len(labelled.papers),
        "accepted": int(np.sum(labelled.truths)),
        **{f"unparsed: {model}": _unparsed(found) for model, found in reports.items()},
    }


def _unparsed(found: Mapping[str, Any]) -> int:
    return sum(answers["unparsed"] for answers in found["confusion"].values())
