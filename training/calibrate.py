"""Fits the map from the tuned model's probability to the measured one, on the validation split.

python -m training.calibrate --recipe training/recipes/full.yaml

Leaves ``calibration.json``, which the service loads (``REVIEWER_CALIBRATION``), ``report.json``
with the figures before and after and the abstain band, and ``val_full.jsonl``, the reviews that it
is fitted to. "After" is cross-validated: each paper by a map that was fitted without it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.engine.launcher import engine_launcher
from app.review.calibration import Calibration
from training.benchmark import tuned_folder
from training.calibrating import Told, band_table, fitted, out_of_fold, suggested_band
from training.errors import CheckFailed, InputInvalid
from training.jsonl import read_rows
from training.manifest import write_atomically
from training.metrics import Measured, Resampling, measured, outcomes_of
from training.recipe import Calibrate, Recipe
from training.report import Judged, judged
from training.reviewing import Launcher, review_papers, reviewing_settings
from training.rows import PaperRow, ReviewedRow, ReviewRow, load_papers, title_key
from training.stage import Job, Stage, command, required, stage_file

CALIBRATION, REPORT, REVIEWED = "calibration.json", "report.json", "val_full.jsonl"
COMPARED = ("brier", "calibration_error", "auroc")


def calibrate_stage(launcher: Launcher = engine_launcher) -> Stage:
    """The stage; ``launcher`` starts the engine."""

    def main(job: Job) -> Mapping[str, Any]:
        asked = job.recipe.calibrate
        papers = validation_papers(job.recipe)
        of = judged(papers, asked.label)
        _check_classes(of)
        folder = tuned_folder(job.recipe)
        settings = reviewing_settings(asked, engine="vllm", model=str(folder))
        rows = review_papers(
            job, papers, asked, launcher(settings), settings, job.folder / REVIEWED
        )
        return _calibrate(job, asked, told_of(of, rows))

    return Stage(
        name="calibrate",
        sections=("calibrate",),
        inputs=_inputs,
        outputs=lambda _: [CALIBRATION, REPORT, REVIEWED],
        main=main,
    )


def _inputs(recipe: Recipe) -> list[Path]:
    return [
        stage_file(recipe, "collect", "papers.jsonl"),
        stage_file(recipe, "collect", "benchmark.jsonl"),
        stage_file(recipe, "filter", "val.jsonl"),
        tuned_folder(recipe),
    ]


def validation_papers(recipe: Recipe) -> list[PaperRow]:
    """The papers of the validation split, none of them of the benchmark.

    Raises:
        InputInvalid: there are none, one is not among those collected, or is of the benchmark.
    """
    path = stage_file(recipe, "filter", "val.jsonl")
    wanted = list(dict.fromkeys(row.paper for row in read_rows(path, ReviewRow)))
    required(wanted, path, "papers: the validation split is empty")
    collected = load_papers(stage_file(recipe, "collect", "papers.jsonl"))
    unknown = [paper for paper in wanted if paper not in collected]
    if unknown:
        raise InputInvalid(f"{path}: collect has no paper {unknown[0]!r}")
    papers = [collected[paper] for paper in wanted]
    benchmark = load_papers(stage_file(recipe, "collect", "benchmark.jsonl")).values()
    ids, titles = {row.id for row in benchmark}, {title_key(row.title) for row in benchmark}
    shared = [row.id for row in papers if row.id in ids or title_key(row.title) in titles]
    if shared:
        raise InputInvalid(
            f"{path}: {len(shared)} of {len(papers)} papers are of the benchmark, which nothing is "
            f"fitted to: {shared[0]}"
        )
    return papers[: recipe.calibrate.most]


def _check_classes(of: Judged) -> None:
    """That there is something to fit to, before an hour of reviews.

    Raises:
        InputInvalid: fewer than two papers were accepted, or rejected.
    """
    accepted = sum(label == "accept" for label in of.labels)
    rejected = len(of.labels) - accepted
    if min(accepted, rejected) < 2:
        raise InputInvalid(
            f"the validation split has {accepted} accepted and {rejected} rejected papers with a "
            "label: a calibration needs two of each"
        )


def told_of(of: Judged, rows: Sequence[ReviewedRow]) -> Told:
    """
    Raises:
        CheckFailed: a paper has no probability, or several models were reviewing.
    """
    by_paper = {row.paper: row for row in rows}
    kept = [by_paper[paper.id] for paper in of.papers]
    probabilities = [row.probability for row in kept if row.probability is not None]
    if len(probabilities) < len(kept):
        raise CheckFailed(
            f"{len(kept) - len(probabilities)} of {len(kept)} papers have no probability: the "
            "engine does not tell it"
        )
    models = sorted({row.model for row in kept})
    if len(models) != 1:
        raise CheckFailed(f"several models were reviewing: {', '.join(models)}")
    accepted = [label == "accept" for label in of.labels]
    return Told(models[0], accepted, probabilities, [row.decision for row in kept])


def _calibrate(job: Job, asked: Calibrate, told: Told) -> Mapping[str, Any]:
    resampling = Resampling(asked.bootstrap, job.seed, asked.confidence)
    found, note = fitted(asked.method, told.probabilities, told.accepted)
    after = out_of_fold(asked.method, told, asked.folds, job.seed)
    compared = {
        "before": _compared(told, told.probabilities, resampling),
        "after": _compared(told, after, resampling),
    }
    calibration = Calibration(
        name=f"{job.recipe.run.name}-{asked.method}",
        model=told.model,
        map=found,
        fitted_on={
            "split": "validation",
            "papers": len(told.accepted),
            "accepted": sum(told.accepted),
            "label": asked.label.model_dump(mode="json"),
            "mode": asked.mode,
            "note": note,
            **compared,
        },
    )
    table = band_table(told, after, asked.coverages)
    report = {
        "calibration": calibration.model_dump(mode="json"),
        "after": f"cross-validated, {asked.folds} folds at most",
        "abstain": {
            "about": "papers whose calibrated probability, cross-validated, is nearest to 0.5 are "
            "left undecided; precision is the share of decisions that are right",
            "coverages": table,
            "target_precision": asked.target_precision,
            "suggested": suggested_band(table, asked.target_precision),
        },
    }
    write_atomically(job.folder / CALIBRATION, calibration.model_dump_json(indent=2) + "\n")
    write_atomically(job.folder / REPORT, json.dumps(report, indent=2, allow_nan=False) + "\n")
    _show(job, compared, report["abstain"], note)
    return {"papers": len(told.accepted), "accepted": sum(told.accepted), **found.model_dump()}


def _compared(told: Told, probabilities: Sequence[float], resampling: Resampling) -> dict[str, Any]:
    of = outcomes_of(told.accepted, told.decisions, probabilities)
    found: Measured = measured(of, resampling)
    return {name: found.figures()[name].as_json() for name in COMPARED}


def _show(job: Job, compared: Mapping[str, Any], abstain: Any, note: str) -> None:
    for when, figures in compared.items():
        told = ", ".join(f"{name} {figure['value']}" for name, figure in figures.items())
        job.say(f"calibrate: {when}: {told}")
    if note:
        job.say(f"calibrate: {note}")
    chosen, target = abstain["suggested"], abstain["target_precision"]
    if chosen is None:
        job.say(f"calibrate: no band reaches a precision of {target}")
    elif chosen["band"] is None:
        job.say(f"calibrate: a precision of {target} needs no band")
    else:
        low, high = chosen["band"]["low"], chosen["band"]["high"]
        job.say(f"calibrate: REVIEWER_ABSTAIN_LOW={low} REVIEWER_ABSTAIN_HIGH={high}")


STAGE = calibrate_stage()

if __name__ == "__main__":
    command(STAGE)
