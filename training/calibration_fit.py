"""Fits the calibration of one model, compares it with no calibration, and writes both files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from app.review.calibration import Calibration
from training.calibration_maps import (
    Predictions,
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
from training.report import LabelledPapers
from training.rows import ReviewedRow
from training.stage import Job

COMPARED = ("brier", "calibration_error", "auroc")


def check_classes(labelled: LabelledPapers) -> None:
    """Check before the papers are reviewed, which may take an hour, that a fit is possible.

    Raises:
        InputInvalid: fewer than two papers were accepted, or rejected.
    """
    accepted = sum(label == "accept" for label in labelled.labels)
    rejected = len(labelled.labels) - accepted
    if min(accepted, rejected) < 2:
        raise InputInvalid(
            f"the validation split has {accepted} accepted and {rejected} rejected papers with a "
            "label: a calibration needs two of each"
        )


def predictions_of(labelled: LabelledPapers, rows: Sequence[ReviewedRow]) -> Predictions:
    """The reviewed papers' probabilities and decisions, in the order of ``labelled``.

    Raises:
        CheckFailed: a paper has no probability, or the reviews are from several models.
    """
    by_paper = {row.paper: row for row in rows}
    kept = [by_paper[paper.id] for paper in labelled.papers]
    probabilities = [row.probability for row in kept if row.probability is not None]
    if len(probabilities) < len(kept):
        raise CheckFailed(
            f"{len(kept) - len(probabilities)} of {len(kept)} papers have no probability: the "
            "engine does not return it"
        )
    models = sorted({row.model for row in kept})
    if len(models) != 1:
        raise CheckFailed(f"the reviews are from several models: {', '.join(models)}")
    accepted = [label == "accept" for label in labelled.labels]
    return Predictions(models[0], accepted, probabilities, [row.decision for row in kept])


def calibrate(
    job: Job, options: Calibrate, predictions: Predictions, content: str
) -> Mapping[str, Any]:
    """Write the calibration and its report; returns the counts for the manifest.

    ``content`` is the model's fingerprint.
    """
    resampling = Resampling(options.bootstrap, job.seed, options.confidence)
    found, note = fitted(options.method, predictions.probabilities, predictions.accepted)
    after = out_of_fold(options.method, predictions, options.folds, job.seed)
    compared = {
        "before": _compared(predictions, predictions.probabilities, resampling),
        "after": _compared(predictions, after, resampling),
    }
    calibration = Calibration(
        name=f"{job.recipe.run.name}-{options.method}",
        model=predictions.model,
        content=content,
        mode=options.mode,
        format=options.format if options.mode == "review" else None,
        map=found,
        fitted_on={
            "split": "validation",
            "papers": len(predictions.accepted),
            "accepted": sum(predictions.accepted),
            "label": options.label.model_dump(mode="json"),
            "note": note,
            "bins": acceptance_by_probability(after, predictions.accepted),
            **compared,
        },
    )
    table = band_table(predictions, after, options.coverages)
    report = {
        "calibration": calibration.model_dump(mode="json"),
        "after": f"cross-validated, {options.folds} folds at most",
        "disagreement": disagreement(predictions, after),
        "abstain": {
            "about": "papers whose cross-validated calibrated probability is nearest to 0.5 are "
            "left undecided; precision is the share of correct decisions",
            "coverages": table,
            "target_precision": options.target_precision,
            "suggested": suggested_band(table, options.target_precision),
        },
    }
    write_atomically(job.folder / CALIBRATION, calibration.model_dump_json(indent=2) + "\n")
    write_atomically(
        job.folder / CALIBRATION_REPORT, json.dumps(report, indent=2, allow_nan=False) + "\n"
    )
    _show(job, compared, report["abstain"], note)
    return {
        "papers": len(predictions.accepted),
        "accepted": sum(predictions.accepted),
        **found.model_dump(),
    }


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


def _compared(
    predictions: Predictions, probabilities: Sequence[float], resampling: Resampling
) -> dict[str, Any]:
    of = outcomes_of(predictions.accepted, predictions.decisions, probabilities)
    figures = measured(of, resampling).figures()
    return {name: figures[name].as_json() for name in COMPARED}


def _show(job: Job, compared: Mapping[str, Any], abstain: Any, note: str) -> None:
    for when, figures in compared.items():
        line = ", ".join(f"{name} {figure['value']}" for name, figure in figures.items())
        job.say(f"calibrate: {when}: {line}")
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
