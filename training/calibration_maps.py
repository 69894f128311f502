"""Fits and evaluates calibration maps, and finds the band of probabilities in which to abstain.

The maps are the classes that the service applies (``app.review.calibration``).
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
"""Slope of a Platt map that gives every paper the same probability; a slope must be above 0."""
_SIGNIFICANCE = 0.05
"""Significance level of the test whether a map needs a bias."""
_HIGHEST_TEMPERATURE = 1e3
"""The temperature is searched between this and its inverse."""
_DIGITS, _STEPS = 4, 10_000
"""Precision of a band's ends: decimal places, and steps from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """A model's predictions, with the papers' outcomes in the same order."""

    model: str
    accepted: Sequence[bool]
    probabilities: Sequence[float]
    decisions: Sequence[Decision | None]


def fitted(
    method: Method, probabilities: Sequence[float], accepted: Sequence[bool]
) -> tuple[Map, str]:
    """The map with the best fit to papers of both classes, and a note for the report (or "").

    If a higher probability goes with rejection, no increasing map helps: each paper then gets the
    share of accepted papers.

    Raises:
        CheckFailed: the method is ``temperature``, and the fit needs a bias.
    """
    if method == "temperature":
        found, note = _temperature(probabilities, accepted)
        _check_no_bias(found, probabilities, accepted)
        return found, note
    if method == "platt":
        return _platt(probabilities, accepted)
    return _isotonic(probabilities, accepted), ""


def _check_no_bias(found: Map, probabilities: Sequence[float], accepted: Sequence[bool]) -> None:
    """Likelihood-ratio test of the temperature against a Platt map, which has one more parameter.

    Raises:
        CheckFailed: the Platt map fits significantly better.
    """
    biased, _ = _platt(probabilities, accepted)
    losses = [
        log_loss(accepted, [_clipped(each.apply(p)) for p in probabilities], normalize=False)
        for each in (found, biased)
    ]
    p_value = float(chi2.sf(2 * (losses[0] - losses[1]), df=1))
    if p_value < _SIGNIFICANCE:
        raise CheckFailed(
            f"a temperature alone does not fit: the Platt map has a bias of {biased.intercept:.2f} "
            f"(p = {p_value:.2g}); set calibrate.method to platt"
        )


def _temperature(probabilities: Sequence[float], accepted: Sequence[bool]) -> tuple[Map, str]:
    """The temperature with the highest likelihood, and a note if it is at a limit."""

    def loss(exponent: float) -> float:
        scale = Temperature(temperature=float(np.exp(exponent)))
        return float(log_loss(accepted, [_clipped(scale.apply(p)) for p in probabilities]))

    most = float(np.log(_HIGHEST_TEMPERATURE))
    found = minimize_scalar(loss, bounds=(-most, most), method="bounded")
    temperature = float(np.exp(found.x))
    note = ""
    if temperature > _HIGHEST_TEMPERATURE / 2:
        note = "the temperature is at its upper limit: the probabilities predict nothing"
    elif temperature < 2 / _HIGHEST_TEMPERATURE:
        note = "the temperature is at its lower limit: all decisions are correct"
    return Temperature(temperature=temperature), note


def _platt(probabilities: Sequence[float], accepted: Sequence[bool]) -> tuple[Platt, str]:
    """Logistic regression on the logit, without a penalty; a note if the slope is not positive."""
    model = LogisticRegression(C=np.inf)
    clipped = np.clip(probabilities, SMALLEST, 1 - SMALLEST)
    model.fit(logit(clipped).reshape(-1, 1), accepted)
    slope, intercept = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope > 0:
        return Platt(slope=slope, intercept=intercept), ""
    note = (
        f"the probabilities predict nothing: the Platt map's slope would be {slope:.3f}; each "
        "paper gets the share of accepted papers instead"
    )
    return Platt(slope=_LEAST_SLOPE, intercept=float(logit(np.mean(accepted)))), note


def _isotonic(probabilities: Sequence[float], accepted: Sequence[bool]) -> Isotonic:
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    model.fit(np.asarray(probabilities, dtype=np.float64), np.asarray(accepted, dtype=np.float64))
    return Isotonic(
        x=tuple(map(float, model.X_thresholds_)), y=tuple(map(float, model.y_thresholds_))
    )


def _clipped(probability: float) -> float:
    """The probability, clipped so that its logarithm is finite."""
    return min(max(probability, SMALLEST), 1 - SMALLEST)


def out_of_fold(method: Method, predictions: Predictions, folds: int, seed: int) -> list[float]:
    """Cross-validated calibrated probabilities: each paper's map is fitted without the paper."""
    probabilities = np.asarray(predictions.probabilities)
    accepted = np.asarray(predictions.accepted)
    smaller = int(min(accepted.sum(), (~accepted).sum()))
    by = StratifiedKFold(min(folds, smaller), shuffle=True, random_state=seed)
    calibrated = np.empty(len(probabilities))
    for rest, held_out in by.split(probabilities, accepted):
        found = _fold(method, probabilities[rest].tolist(), accepted[rest].tolist())
        calibrated[held_out] = [found.apply(p) for p in probabilities[held_out].tolist()]
    return [float(p) for p in calibrated]


def _fold(method: Method, probabilities: Sequence[float], accepted: Sequence[bool]) -> Map:
    """The map for one fold. Whether a temperature suffices is tested on all papers, not here."""
    if method == "temperature":
        return _temperature(probabilities, accepted)[0]
    return fitted(method, probabilities, accepted)[0]


def disagreement(predictions: Predictions, calibrated: Sequence[float]) -> dict[str, Any]:
    """How often a review's stated decision and its calibrated probability disagree."""
    disagreeing = [
        (decision == "accept", accepted)
        for decision, probability, accepted in zip(
            predictions.decisions, calibrated, predictions.accepted, strict=True
        )
        if decision is not None and (decision == "accept") != (probability >= 0.5)
    ]
    right = sum(decided == accepted for decided, accepted in disagreeing)
    return {
        "about": "papers whose decision, stated in the review's last line, differs from that of "
        "their cross-validated calibrated probability (accept from 0.5)",
        "papers": len(disagreeing),
        "of": len(predictions.accepted),
        "decision_right": right,
        "probability_right": len(disagreeing) - right,
    }


def band_table(
    predictions: Predictions, calibrated: Sequence[float], coverages: Sequence[float]
) -> list[dict[str, Any]]:
    """For each coverage, the band around 0.5 in which papers are left undecided, and the share of
    correct decisions outside it.

    Papers on the band's ends are undecided too, so ties may make the actual coverage lower.
    """
    probabilities = np.asarray(calibrated)
    order = np.sort(np.abs(probabilities - 0.5))[::-1]
    table = []
    for coverage in sorted(coverages, reverse=True):
        decided = round(coverage * len(order))
        band, kept = None, np.ones(len(order), dtype=bool)
        if decided < len(order):
            # Rounded up, after rounding away floating-point noise.
            width = float(np.ceil(round(order[decided] * _STEPS, 6)) / _STEPS)
            band = {"low": round(0.5 - width, _DIGITS), "high": round(0.5 + width, _DIGITS)}
            kept = (probabilities < band["low"]) | (probabilities > band["high"])
        table.append({"asked": coverage, "band": band, **_precision(predictions, kept)})
    return table


def _precision(predictions: Predictions, kept: Any) -> dict[str, Any]:
    """Shares of correct decisions among the papers of ``kept``; None where there are no papers."""
    pairs = [
        (decision, accepted)
        for decision, accepted, is_kept in zip(
            predictions.decisions, predictions.accepted, kept, strict=True
        )
        if is_kept and decision is not None
    ]

    def share(of: Sequence[bool]) -> float | None:
        return round(sum(of) / len(of), 4) if of else None

    accepts = [accepted for decision, accepted in pairs if decision == "accept"]
    rejects = [not accepted for decision, accepted in pairs if decision == "reject"]
    return {
        "coverage": round(len(pairs) / len(predictions.accepted), 4),
        "decided": len(pairs),
        "precision": share([*accepts, *rejects]),
        "precision_of_accepts": share(accepts),
        "precision_of_rejects": share(rejects),
    }


def suggested_band(table: Sequence[dict[str, Any]], target: float) -> dict[str, Any] | None:
    """The row with the narrowest band that reaches the target precision; None if no band does."""
    for row in table:
        if row["precision"] is not None and row["precision"] >= target:
            return row
    return None
