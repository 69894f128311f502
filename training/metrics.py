"""Metrics of a reviewer's decisions and probabilities against the papers' labels.

If most papers were accepted, accuracy and F1 favour a reviewer that accepts everything. So there
are also balanced accuracy, Matthews' correlation coefficient, Cohen's kappa and the F1 of
rejections, and for the probabilities AUROC, Brier score and calibration error. The formulas are
those of scikit-learn and torchmetrics.

A decision that could not be parsed is a third answer, ``NEITHER``: it is always wrong, and counts
neither as an acceptance nor as a rejection. So it lowers accuracy and recall, and does not change
precision.

Confidence intervals are percentiles of bootstrap resamples, drawn by paper with replacement. A
resample in which a metric is undefined (AUROC with papers of one class only) is left out of the
metric's interval, and counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    confusion_matrix,
    matthews_corrcoef,
    precision_recall_fscore_support,
    roc_auc_score,
)

from app.review.decision import Decision

Floats = np.ndarray[Any, np.dtype[np.float64]]
Ints = np.ndarray[Any, np.dtype[np.int64]]

ACCEPT, REJECT, NEITHER = 1, 0, -1
CALIBRATION_BINS = 10
"""Number of bins of equal width, also in the reliability diagram."""

_DIGITS = 6
"""Decimal places in files."""
_OF_BOTH_CLASSES = ("balanced_accuracy", "mcc", "kappa", "auroc", "auroc_length_matched")
_OF_PROBABILITIES = ("auroc", "auroc_length_matched", "brier", "calibration_error")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Labels and a reviewer's answers, for papers in the same order; arrays of one length.

    ``labels`` are ACCEPT or REJECT, ``answers`` also NEITHER. ``probabilities`` of acceptance are
    NaN if missing. ``strata`` are the papers' length classes (:func:`strata_of`).
    """

    labels: Ints
    answers: Ints
    probabilities: Floats
    strata: Ints

    def __post_init__(self) -> None:
        sizes = {len(self.answers), len(self.probabilities), len(self.strata)}
        if sizes != {len(self.labels)} or sizes == {0}:
            raise ValueError(f"{len(self.labels)} labels, but other arrays of lengths {sizes}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, picked: Ints) -> Outcomes:
        return Outcomes(
            self.labels[picked],
            self.answers[picked],
            self.probabilities[picked],
            self.strata[picked],
        )

    def permuted(self, picked: Ints) -> Outcomes:
        """The same papers, each with the answer of the paper at ``picked``."""
        return replace(self, answers=self.answers[picked], probabilities=self.probabilities[picked])


def outcomes_of(
    labels: Sequence[bool],
    decisions: Sequence[Decision | None],
    probabilities: Sequence[float | None],
    strata: Ints | None = None,
) -> Outcomes:
    """Outcomes from plain values; without ``strata``, all papers are in one length class."""
    answers = {"accept": ACCEPT, "reject": REJECT, None: NEITHER}
    return Outcomes(
        np.array(labels, dtype=np.int64),
        np.array([answers[decision] for decision in decisions], dtype=np.int64),
        np.array([math.nan if p is None else p for p in probabilities], dtype=np.float64),
        np.zeros(len(labels), dtype=np.int64) if strata is None else strata,
    )


def strata_of(lengths: Sequence[int], strata: int) -> Ints:
    """Each paper's length class; the ``strata`` classes have about the same number of papers."""
    edges = np.quantile(lengths, np.linspace(0, 1, strata + 1)[1:-1])
    return np.digitize(lengths, edges).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Figure:
    """A metric's value with its confidence interval, or the reason why it is undefined.

    ``undefined`` counts the resamples in which the metric was undefined.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    undefined: int = 0
    reason: str | None = None

    def as_json(self) -> dict[str, float | int | str | None]:
        if self.value is None:
            return {"value": None, "reason": self.reason}
        found: dict[str, float | int | str | None] = {"value": round(self.value, _DIGITS)}
        for name, end in (("low", self.low), ("high", self.high)):
            found[name] = None if end is None else round(end, _DIGITS)
        return found | ({"undefined_resamples": self.undefined} if self.undefined else {})


@dataclass(frozen=True, slots=True)
class Resampling:
    """The parameters of the bootstrap. Equal seeds and numbers of papers give equal resamples.

    ``confidence`` is the coverage of an interval.
    """

    resamples: int
    seed: int
    confidence: float = 0.95

    def picks(self, papers: int, stream: int = 0) -> Iterator[Ints]:
        """The resamples, as indices of papers; each ``stream`` is independent of the others."""
        generator = np.random.default_rng([self.seed, stream])
        for _ in range(self.resamples):
            yield generator.integers(0, papers, papers)


@dataclass(frozen=True, slots=True)
class Measured:
    """Every metric's value (NaN if undefined), and its values in the resamples."""

    point: Mapping[str, float]
    samples: Mapping[str, Floats]
    reasons: Mapping[str, str]
    confidence: float

    def figures(self) -> dict[str, Figure]:
        return {
            name: _figure(value, self.samples[name], self.confidence, self.reasons.get(name))
            for name, value in self.point.items()
        }

    def less(self, other: Measured) -> dict[str, Figure]:
        """The differences to another reviewer's metrics on the same papers.

        Both use the same resamples, so the intervals are those of paired differences.
        """
        return {
            name: _figure(
                value - other.point[name],
                self.samples[name] - other.samples[name],
                self.confidence,
                self.reasons.get(name) or other.reasons.get(name),
            )
            for name, value in self.point.items()
        }


def measured(outcomes: Outcomes, resampling: Resampling) -> Measured:
    """The metrics of a reviewer."""
    resampled = [values_of(outcomes[picked]) for picked in resampling.picks(len(outcomes))]
    samples = _columns(resampled)
    return Measured(values_of(outcomes), samples, _reasons(outcomes), resampling.confidence)


def measured_at_random(outcomes: Outcomes, resampling: Resampling) -> Measured:
    """The metrics of a reviewer whose answers are assigned to the papers at random.

    It has the same answers and probabilities, independent of the papers. A value is the mean over
    the resamples, in each of which papers and answers are drawn independently.
    """
    pairs = zip(
        resampling.picks(len(outcomes)), resampling.picks(len(outcomes), stream=1), strict=True
    )
    resampled = [values_of(outcomes[picked].permuted(other)) for picked, other in pairs]
    samples = _columns(resampled)
    means = {name: _mean(values) for name, values in samples.items()}
    return Measured(means, samples, _reasons(outcomes), resampling.confidence)


def values_of(outcomes: Outcomes) -> dict[str, float]:
    """Every metric without an interval; NaN if undefined."""
    # The arrays are known to be valid, and scikit-learn's checks take half of the time.
    with config_context(skip_parameter_validation=True, assume_finite=True):
        return {**_of_decisions(outcomes), **_of_probabilities(outcomes)}


def confusion(outcomes: Outcomes) -> dict[str, dict[str, int]]:
    """Numbers of papers by their label, then by the reviewer's answer."""
    table = confusion_matrix(outcomes.labels, outcomes.answers, labels=[ACCEPT, REJECT, NEITHER])
    answers = ("accept", "reject", "unparsed")
    return {
        label: dict(zip(answers, map(int, counts), strict=True))
        for label, counts in zip(("accepted", "rejected"), table[:2], strict=True)
    }


def _of_decisions(outcomes: Outcomes) -> dict[str, float]:
    labels, answers = outcomes.labels, outcomes.answers
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, answers, labels=[ACCEPT, REJECT], average=None, zero_division=math.nan
    )
    two = _has_both_classes(labels)
    return {
        "accuracy": float(accuracy_score(labels, answers)),
        "precision": float(precision[0]),
        "recall": float(recall[0]),
        "f1": float(f1[0]),
        "accept_rate": float(np.mean(answers == ACCEPT)),
        # balanced_accuracy_score is this mean, but warns of the answer NEITHER.
        "balanced_accuracy": float(np.mean(recall)),
        "mcc": float(matthews_corrcoef(labels, answers)) if two else math.nan,
        "kappa": float(cohen_kappa_score(labels, answers)) if two else math.nan,
        "rejection_recall": float(recall[1]),
        "rejection_f1": float(f1[1]),
        "unparsed_rate": float(np.mean(answers == NEITHER)),
    }


def _of_probabilities(outcomes: Outcomes) -> dict[str, float]:
    """Metrics of the probabilities, for the papers that have one."""
    known = ~np.isnan(outcomes.probabilities)
    labels, probabilities = outcomes.labels[known], outcomes.probabilities[known]
    if not len(labels):
        return dict.fromkeys(_OF_PROBABILITIES, math.nan)
    return {
        "auroc": _auroc(labels, probabilities),
        "auroc_length_matched": _matched_auroc(labels, probabilities, outcomes.strata[known]),
        "brier": float(brier_score_loss(labels, probabilities, pos_label=ACCEPT)),
        "calibration_error": calibration_error(labels, probabilities),
    }


def calibration_error(labels: Ints, probabilities: Floats) -> float:
    """Expected calibration error of the probability of acceptance, in bins of equal width."""
    import torch
    from torchmetrics.functional.classification import binary_calibration_error

    return float(
        binary_calibration_error(
            torch.from_numpy(probabilities),
            torch.from_numpy(labels),
            n_bins=CALIBRATION_BINS,
            norm="l1",
            validate_args=False,
        )
    )


def _auroc(labels: Ints, scores: Floats) -> float:
    return float(roc_auc_score(labels, scores)) if _has_both_classes(labels) else math.nan


def _matched_auroc(labels: Ints, scores: Floats, strata: Ints) -> float:
    """AUROC among papers of about the same length: the mean over strata, weighted by pairs."""
    values, pairs = list[float](), list[int]()
    for stratum in np.unique(strata):
        within = strata == stratum
        accepted = int(np.sum(labels[within] == ACCEPT))
        rejected = int(np.sum(within)) - accepted
        if accepted and rejected:
            values.append(_auroc(labels[within], scores[within]))
            pairs.append(accepted * rejected)
    return float(np.average(values, weights=pairs)) if values else math.nan


def _has_both_classes(labels: Ints) -> bool:
    return bool(labels.min() != labels.max())


def _reasons(outcomes: Outcomes) -> dict[str, str]:
    """Why a metric is undefined, by its name; used only for those that are."""
    known = ~np.isnan(outcomes.probabilities)
    reasons = {
        "precision": "no paper was recommended for acceptance",
        "recall": "no paper was accepted",
        "f1": "no paper was accepted, and none recommended for acceptance",
        "rejection_recall": "no paper was rejected",
        "rejection_f1": "no paper was rejected, and none recommended for rejection",
        "auroc": "the papers that have a probability are all of one class",
        "auroc_length_matched": "no length class has both accepted and rejected papers",
    }
    if not known.any():
        reasons |= dict.fromkeys(_OF_PROBABILITIES, "no paper has a probability")
    if not _has_both_classes(outcomes.labels):
        became = "accepted" if outcomes.labels[0] == ACCEPT else "rejected"
        reasons |= dict.fromkeys(_OF_BOTH_CLASSES, f"all {len(outcomes)} papers were {became}")
    return reasons


def _columns(resampled: Sequence[Mapping[str, float]]) -> dict[str, Floats]:
    return {name: np.array([values[name] for values in resampled]) for name in resampled[0]}


def _mean(samples: Floats) -> float:
    defined = samples[~np.isnan(samples)]
    return float(defined.mean()) if len(defined) else math.nan


def _figure(value: float, samples: Floats, confidence: float, reason: str | None) -> Figure:
    if math.isnan(value):
        return Figure(None, reason=reason)
    defined = samples[~np.isnan(samples)]
    if not len(defined):
        return Figure(value, undefined=len(samples))
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Figure(value, float(low), float(high), len(samples) - len(defined))
