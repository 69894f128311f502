"""Maps from a model's probability to the measured one: fits, their worth, and where to abstain.

The maps are the service's own classes, so that what is fitted is what is applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logit
from scipy.stats import chi2
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from app.review.calibration import SMALLEST, Isotonic, Platt, Temperature
from app.review.decision import Decision
from training.errors import CheckFailed

Method = Literal["temperature", "platt", "isotonic"]
Map = Temperature | Platt | Isotonic

_LEAST_SLOPE = 1e-6
"""Of a map that says the same of every paper: Platt's slope is above 0."""
_SURE = 0.05
"""A bias that chance explains no oftener than this is needed."""
_HOTTEST = 1e3
"""Temperatures are sought between this and its inverse."""
_DIGITS, _STEPS = 4, 10_000
"""Of a band's ends."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a model said of papers, in one order, and what became of them."""

    model: str
    accepted: Sequence[bool]
    probabilities: Sequence[float]
    decisions: Sequence[Decision | None]


def fitted(
    method: Method, probabilities: Sequence[float], accepted: Sequence[bool]
) -> tuple[Map, str]:
    """The map that suits papers of both classes best, and what is odd about it, if anything.

    Where papers are the likelier to be rejected, the higher the model's probability, no map that
    rises helps: each paper gets the share of accepted ones.

    Raises:
        CheckFailed: ``temperature`` is asked for, and the fit needs a bias.
    """
    if method == "temperature":
        found, note = _temperature(probabilities, accepted)
        _check_no_bias(found, probabilities, accepted)
        return found, note
    if method == "platt":
        return _platt(probabilities, accepted)
    return _isotonic(probabilities, accepted), ""


def _check_no_bias(found: Map, probabilities: Sequence[float], accepted: Sequence[bool]) -> None:
    """A likelihood-ratio test of the temperature within Platt's map, one parameter apart."""
    biased, _ = _platt(probabilities, accepted)
    losses = [
        log_loss(accepted, [_inside(each.apply(p)) for p in probabilities], normalize=False)
        for each in (found, biased)
    ]
    chance = float(chi2.sf(2 * (losses[0] - losses[1]), df=1))
    if chance < _SURE:
        raise CheckFailed(
            f"a temperature alone does not fit: Platt's map has a bias of {biased.intercept:.2f}, "
            f"which chance explains with probability {chance:.2g}; set calibrate.method to platt"
        )


def _temperature(probabilities: Sequence[float], accepted: Sequence[bool]) -> tuple[Map, str]:
    """Of the highest likelihood."""

    def loss(exponent: float) -> float:
        scale = Temperature(temperature=float(np.exp(exponent)))
        return float(log_loss(accepted, [_inside(scale.apply(p)) for p in probabilities]))

    most = float(np.log(_HOTTEST))
    found = minimize_scalar(loss, bounds=(-most, most), method="bounded")
    temperature = float(np.exp(found.x))
    note = ""
    if temperature > _HOTTEST / 2:
        note = "the temperature is at its upper limit: the probabilities tell nothing of the papers"
    elif temperature < 2 / _HOTTEST:
        note = "the temperature is at its lower limit: the decisions are all right"
    return Temperature(temperature=temperature), note


def _platt(probabilities: Sequence[float], accepted: Sequence[bool]) -> tuple[Platt, str]:
    """Logistic regression on the logit, without a penalty."""
    model = LogisticRegression(C=np.inf)
    held = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    model.fit(logit(held).reshape(-1, 1), accepted)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope > 0:
        return Platt(slope=slope, intercept=intercept), ""
    note = (
        f"the probabilities tell nothing of the papers: Platt's slope would be {slope:.3f}; each "
        "paper gets the share of accepted ones"
    )
    return Platt(slope=_LEAST_SLOPE, intercept=float(logit(np.mean(accepted)))), note


def _isotonic(probabilities: Sequence[float], accepted: Sequence[bool]) -> Isotonic:
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    model.fit(np.asarray(probabilities, dtype=np.float64), np.asarray(accepted, dtype=np.float64))
    return Isotonic(
        x=tuple(map(float, model.X_thresholds_)), y=tuple(map(float, model.y_thresholds_))
    )


def _inside(probability: float) -> float:
    """Where the logarithm is finite."""
    return min(max(probability, SMALLEST), 1 - SMALLEST)


def out_of_fold(method: Method, told: Told, folds: int, seed: int) -> list[float]:
    """Each paper's calibrated probability, by a map that was fitted without it."""
    probabilities = np.asarray(told.probabilities)
    accepted = np.asarray(told.accepted)
    smaller = int(min(accepted.sum(), (~accepted).sum()))
    by = StratifiedKFold(min(folds, smaller), shuffle=True, random_state=seed)
    calibrated = np.empty(len(probabilities))
    for rest, held_out in by.split(probabilities, accepted):
        found = _fold(method, probabilities[rest].tolist(), accepted[rest].tolist())
        calibrated[held_out] = [found.apply(p) for p in probabilities[held_out].tolist()]
    return [float(p) for p in calibrated]


def _fold(method: Method, probabilities: Sequence[float], accepted: Sequence[bool]) -> Map:
    """Of a part of the papers: whether the method suits is asked of them all."""
    if method == "temperature":
        return _temperature(probabilities, accepted)[0]
    return fitted(method, probabilities, accepted)[0]


def disagreement(told: Told, calibrated: Sequence[float]) -> dict[str, Any]:
    """Papers of which the review's line says one thing, and the calibrated probability another."""
    apart = [
        (decision == "accept", accepted)
        for decision, probability, accepted in zip(
            told.decisions, calibrated, told.accepted, strict=True
        )
        if decision is not None and (decision == "accept") != (probability >= 0.5)
    ]
    right = sum(decided == accepted for decided, accepted in apart)
    return {
        "about": "papers whose decision, the review's line, is another than that of their "
        "calibrated probability, cross-validated: accept from 0.5 on",
        "papers": len(apart),
        "of": len(told.accepted),
        "decision_right": right,
        "probability_right": len(apart) - right,
    }


def band_table(
    told: Told, calibrated: Sequence[float], coverages: Sequence[float]
) -> list[dict[str, Any]]:
    """For each share of papers to decide on: the band around 0.5 that is left undecided, and how
    often the remaining decisions are right.

    Papers on the band's end are undecided with it, so that ties may lower the coverage.
    """
    probabilities = np.asarray(calibrated)
    order = np.sort(np.abs(probabilities - 0.5))[::-1]
    table = []
    for coverage in sorted(coverages, reverse=True):
        decided = round(coverage * len(order))
        band, kept = None, np.ones(len(order), dtype=bool)
        if decided < len(order):
            # Outwards, but not for the noise of the last digits.
            width = float(np.ceil(round(order[decided] * _STEPS, 6)) / _STEPS)
            band = {"low": round(0.5 - width, _DIGITS), "high": round(0.5 + width, _DIGITS)}
            kept = (probabilities < band["low"]) | (probabilities > band["high"])
        table.append({"asked": coverage, "band": band, **_precision(told, kept)})
    return table


def _precision(told: Told, kept: Any) -> dict[str, Any]:
    """Shares of right decisions among those papers; None of none."""
    pairs = [
        (decision, accepted)
        for decision, accepted, is_kept in zip(told.decisions, told.accepted, kept, strict=True)
        if is_kept and decision is not None
    ]

    def share(of: Sequence[bool]) -> float | None:
        return round(sum(of) / len(of), 4) if of else None

    accepts = [accepted for decision, accepted in pairs if decision == "accept"]
    rejects = [not accepted for decision, accepted in pairs if decision == "reject"]
    return {
        "coverage": round(len(pairs) / len(told.accepted), 4),
        "decided": len(pairs),
        "precision": share([*accepts, *rejects]),
        "precision_of_accepts": share(accepts),
        "precision_of_rejects": share(rejects),
    }


def suggested_band(table: Sequence[dict[str, Any]], target: float) -> dict[str, Any] | None:
    """The table's row of the narrowest band that reaches the target; None where none does."""
    for row in table:
        if row["precision"] is not None and row["precision"] >= target:
            return row
    return None
