"""The calibration of one model: fitted, compared with none, and written for the service."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.review.calibration import Calibration
from training.calibrating import (
    Told,
    band_table,
    disagreement,
    fitted,
    out_of_fold,
    suggested_band,
)
from training.errors import CheckFailed, InputInvalid
from training.files import CALIBRATION, CALIBRATION_REPORT
from training.manifest import write_atomically
from training.metrics import CALIBRATION_BINS, Resampling, measured, outcomes_of
from training.recipe import Calibrate
from training.report import Judged
from training.rows import ReviewedRow
from training.stage import Job

COMPARED = ("brier", "calibration_error", "auroc")


def check_classes(of: Judged) -> None:
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


def calibrate(job: Job, asked: Calibrate, told: Told, content: str) -> Mapping[str, Any]:
    """Write the calibration and its report; returns the counts for the manifest.

    ``content`` is the model's fingerprint.
    """
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
        content=content,
        mode=asked.mode,
        format=asked.format if asked.mode == "review" else None,
        map=found,
        fitted_on={
            "split": "validation",
            "papers": len(told.accepted),
            "accepted": sum(told.accepted),
            "label": asked.label.model_dump(mode="json"),
            "note": note,
            "bins": acceptance_by_probability(after, told.accepted),
            **compared,
        },
    )
    table = band_table(told, after, asked.coverages)
    report = {
        "calibration": calibration.model_dump(mode="json"),
        "after": f"cross-validated, {asked.folds} folds at most",
        "disagreement": disagreement(told, after),
        "abstain": {
            "about": "papers whose calibrated probability, cross-validated, is nearest to 0.5 are "
            "left undecided; precision is the share of decisions that are right",
            "coverages": table,
            "target_precision": asked.target_precision,
            "suggested": suggested_band(table, asked.target_precision),
        },
    }
    write_atomically(job.folder / CALIBRATION, calibration.model_dump_json(indent=2) + "\n")
    write_atomically(
        job.folder / CALIBRATION_REPORT, json.dumps(report, indent=2, allow_nan=False) + "\n"
    )
    _show(job, compared, report["abstain"], note)
    return {"papers": len(told.accepted), "accepted": sum(told.accepted), **found.model_dump()}


def acceptance_by_probability(
    probabilities: Sequence[float], accepted: Sequence[bool]
) -> list[dict[str, Any]]:
    """How many papers there are in each bin of probability, and how many of them were accepted."""
    bins: list[dict[str, Any]] = [
        {
            "low": index / CALIBRATION_BINS,
            "high": (index + 1) / CALIBRATION_BINS,
            "papers": 0,
            "accepted": 0,
        }
        for index in range(CALIBRATION_BINS)
    ]
    for probability, label in zip(probabilities, accepted, strict=True):
        own = bins[min(int(probability * CALIBRATION_BINS), CALIBRATION_BINS - 1)]
        own["papers"] += 1
        own["accepted"] += int(label)
    return bins


def _compared(told: Told, probabilities: Sequence[float], resampling: Resampling) -> dict[str, Any]:
    of = outcomes_of(told.accepted, told.decisions, probabilities)
    figures = measured(of, resampling).figures()
    return {name: figures[name].as_json() for name in COMPARED}


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
