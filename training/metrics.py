"""What a reviewer's decisions and probabilities are worth against what became of the papers.

Accuracy and F1 flatter whoever accepts everything where most papers were accepted. Beside them
stand figures that do not: balanced accuracy, Matthews' and Cohen's coefficients, the F1 of
rejections, and of the probabilities AUROC, Brier score and calibration error. The formulas are
scikit-learn's and torchmetrics'.

A decision that could not be read is an answer of its own, ``NEITHER``: wrong whatever became of the
paper, and in nobody's count of acceptances or rejections. So it lowers accuracy and recall, and
leaves precision alone. This is the one place that says so.

Intervals are percentiles of resamples: papers drawn with replacement, a paper with all that belongs
to it. In some resamples a figure has no value (AUROC, where all that were drawn are of one
class); they are left out of its interval, and counted.
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
"""Bins of equal width; of the reliability diagram too."""

_DIGITS = 6
"""In files; pages round once more."""
_OF_BOTH_CLASSES = ("balanced_accuracy", "mcc", "kappa", "auroc", "auroc_length_matched")
_OF_PROBABILITIES = ("auroc", "auroc_length_matched", "brier", "calibration_error")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Papers in one order: what became of each, and what the reviewer said of it.

    ``labels`` are ACCEPT or REJECT, ``answers`` also NEITHER; ``probabilities`` of acceptance are
    NaN where there is none. ``strata`` number the papers' classes of length (:func:`strata_of`).
    """

    labels: Ints
    answers: Ints
    probabilities: Floats
    strata: Ints

    def __post_init__(self) -> None:
        sizes = {len(self.answers), len(self.probabilities), len(self.strata)}
        if sizes != {len(self.labels)} or sizes == {0}:
            raise ValueError(f"{len(self.labels)} labels, and {sizes} of the rest")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, picked: Ints) -> Outcomes:
        return Outcomes(
            self.labels[picked],
            self.answers[picked],
            self.probabilities[picked],
            self.strata[picked],
        )

    def dealt(self, picked: Ints) -> Outcomes:
        """The same papers with other papers' answers."""
        return replace(self, answers=self.answers[picked], probabilities=self.probabilities[picked])


def outcomes_of(
    labels: Sequence[bool],
    decisions: Sequence[Decision | None],
    probabilities: Sequence[float | None],
    strata: Ints | None = None,
) -> Outcomes:
    """From plain values; without ``strata`` all papers count as of one length."""
    answers = {"accept": ACCEPT, "reject": REJECT, None: NEITHER}
    return Outcomes(
        np.array(labels, dtype=np.int64),
        np.array([answers[decision] for decision in decisions], dtype=np.int64),
        np.array([math.nan if p is None else p for p in probabilities], dtype=np.float64),
        np.zeros(len(labels), dtype=np.int64) if strata is None else strata,
    )


def strata_of(lengths: Sequence[int], strata: int) -> Ints:
    """Each paper's class of length, of ``strata`` that have about as many papers each."""
    edges = np.quantile(lengths, np.linspace(0, 1, strata + 1)[1:-1])
    return np.digitize(lengths, edges).astype(np.int64)


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its interval, or the reason why there is none.

    ``undefined`` counts the resamples in which it had no value.
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
    """How intervals are made; the same papers are drawn wherever ``seed`` and number agree.

    ``confidence`` is the share of the resamples' values between an interval's ends.
    """

    resamples: int
    seed: int
    confidence: float = 0.95

    def picks(self, papers: int, stream: int = 0) -> Iterator[Ints]:
        """Numbers of papers; each ``stream`` is independent of the others."""
        generator = np.random.default_rng([self.seed, stream])
        for _ in range(self.resamples):
            yield generator.integers(0, papers, papers)


@dataclass(frozen=True, slots=True)
class Measured:
    """Every figure of some outcomes: its value, NaN where there is none, and the resamples'."""

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
        """How much higher each figure is than another reviewer's of the same papers.

        Both were resampled alike, so that the intervals are those of paired differences.
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
    """The figures of a reviewer."""
    drawn = [values_of(outcomes[picked]) for picked in resampling.picks(len(outcomes))]
    samples = _columns(drawn)
    return Measured(values_of(outcomes), samples, _reasons(outcomes), resampling.confidence)


def measured_by_chance(outcomes: Outcomes, resampling: Resampling) -> Measured:
    """The figures of a reviewer whose answers are dealt to papers at random.

    It accepts as many, leaves as many unread and has the same probabilities, and knows nothing.
    Values are the resamples' means: in each, papers and answers are drawn apart.
    """
    apart = zip(
        resampling.picks(len(outcomes)), resampling.picks(len(outcomes), stream=1), strict=True
    )
    drawn = [values_of(outcomes[picked].dealt(other)) for picked, other in apart]
    samples = _columns(drawn)
    means = {name: _mean(values) for name, values in samples.items()}
    return Measured(means, samples, _reasons(outcomes), resampling.confidence)


def values_of(outcomes: Outcomes) -> dict[str, float]:
    """Every figure without an interval; NaN where it has no value."""
    # The arrays are sound by their making, and looking again takes half of the time.
    with config_context(skip_parameter_validation=True, assume_finite=True):
        return {**_of_decisions(outcomes), **_of_probabilities(outcomes)}


def confusion(outcomes: Outcomes) -> dict[str, dict[str, int]]:
    """Papers by what became of them, then by what was recommended."""
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
        # balanced_accuracy_score is this mean, and warns of answers that are no class.
        "balanced_accuracy": float(np.mean(recall)),
        "mcc": float(matthews_corrcoef(labels, answers)) if two else math.nan,
        "kappa": float(cohen_kappa_score(labels, answers)) if two else math.nan,
        "rejection_recall": float(recall[1]),
        "rejection_f1": float(f1[1]),
        "unparsed_rate": float(np.mean(answers == NEITHER)),
    }


def _of_probabilities(outcomes: Outcomes) -> dict[str, float]:
    """Of the papers that have one."""
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
    """AUROC of pairs of papers of about one length: the strata's, weighted by their pairs."""
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
    """Why a figure has no value, for those that have none."""
    known = ~np.isnan(outcomes.probabilities)
    reasons = {
        "precision": "no paper was recommended for acceptance",
        "recall": "no paper was accepted",
        "f1": "no paper was accepted, and none recommended for acceptance",
        "rejection_recall": "no paper was rejected",
        "rejection_f1": "no paper was rejected, and none recommended for rejection",
        "auroc": "the papers that have a probability are all of one class",
        "auroc_length_matched": "no class of length holds both accepted and rejected papers",
    }
    if not known.any():
        reasons |= dict.fromkeys(_OF_PROBABILITIES, "no paper has a probability")
    if not _has_both_classes(outcomes.labels):
        became = "accepted" if outcomes.labels[0] == ACCEPT else "rejected"
        reasons |= dict.fromkeys(_OF_BOTH_CLASSES, f"all {len(outcomes)} papers were {became}")
    return reasons


def _columns(drawn: Sequence[Mapping[str, float]]) -> dict[str, Floats]:
    return {name: np.array([values[name] for values in drawn]) for name in drawn[0]}


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
