"""What the benchmark leaves of its reviews: metrics files, plots, and a table on the terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.table import Table

from training import plots
from training.baselines import deciding
from training.files import PLOTS, metrics_name, plot_name
from training.manifest import write_atomically
from training.metrics import ACCEPT, Outcomes
from training.report import SHOWN, Judged, Rivals, outcomes, report, rivals_of
from training.rows import ReviewedRow
from training.stage import Job, stage_file


def write_results(
    job: Job,
    of: Judged,
    train: Judged | None,
    reviewed: Mapping[str, Sequence[ReviewedRow]],
    served: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Write everything; returns the counts for the manifest. Seconds to minutes of resampling."""
    rivals = rivals_of(of, train, job.seed)
    about = {"leaks": _leaks(job)}
    reports = {
        model: _measure(job, model, of, reviewed, rivals, {**about, "as_served": served[model]})
        for model in reviewed
    }
    _plot(job, of, reviewed, rivals)
    _show(job, reports)
    return _counts(of, reports)


def _measure(
    job: Job,
    model: str,
    of: Judged,
    reviewed: Mapping[str, Sequence[ReviewedRow]],
    rivals: Rivals,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    asked = job.recipe.benchmark
    base = reviewed.get("base") if model == "tuned" else None
    measured = {
        "benchmark": asked.name,
        "reviewer": model,
        **report(of, reviewed[model], rivals, base, asked, job.seed),
        **about,
    }
    path = job.folder / metrics_name(job.recipe, model)
    write_atomically(path, json.dumps(measured, indent=2, allow_nan=False) + "\n")
    return measured


def _leaks(job: Job) -> Any:
    """What can be told of the papers without reading them: see :mod:`training.leaks`."""
    return json.loads(stage_file(job.recipe, "collect", "leaks.json").read_bytes())


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
    paths = [job.folder / plot_name(job.recipe, plot) for plot in PLOTS]
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
