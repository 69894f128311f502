"""The benchmark's plots as PNG: reliability, ROC, and accept rates by venue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_curve

from training.metrics import CALIBRATION_BINS, Floats, Ints, Outcomes, values_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DPI = 150


def reliability(path: Path, reviewers: Mapping[str, Outcomes]) -> None:
    """Share of accepted papers against the predicted probability; a dot's area shows its papers."""
    with _Plot(path, "predicted probability of acceptance", "share of papers accepted") as axes:
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
        for name, of in reviewers.items():
            labels, probabilities = _known(of)
            if not len(labels):
                axes.plot([], [], label=f"{name}: no probabilities")
                continue
            accepted, predicted = calibration_curve(labels, probabilities, n_bins=CALIBRATION_BINS)
            # The same bins as in calibration_curve.
            inner = np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1]
            counts = np.bincount(np.searchsorted(inner, probabilities))
            error = values_of(of)["calibration_error"]
            (line,) = axes.plot(predicted, accepted, label=f"{name} (error {error:.2f})")
            sizes = 20 + 180 * counts[counts > 0] / len(labels)
            axes.scatter(predicted, accepted, s=sizes, color=line.get_color(), clip_on=False)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.legend()


def roc(path: Path, reviewers: Mapping[str, Outcomes]) -> None:
    """True positive rate against false positive rate; accepted papers are the positives."""
    with _Plot(path, "false positive rate", "true positive rate") as axes:
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
        for name, of in reviewers.items():
            labels, probabilities = _known(of)
            if not len(labels) or labels.min() == labels.max():
                axes.plot([], [], label=f"{name}: undefined")
                continue
            through, found, _ = roc_curve(labels, probabilities)
            axes.plot(through, found, label=f"{name} ({values_of(of)['auroc']:.2f})")
        axes.legend(title="AUROC", loc="lower right")


def accept_rates(path: Path, rates: Mapping[str, Mapping[str, float]]) -> None:
    """Accept rates by venue, as bars: the venue's own first, then the reviewers'."""
    with _Plot(path, "", "share of papers accepted") as axes:
        venues = list(rates)
        who = list(next(iter(rates.values())))
        width = 0.8 / len(who)
        for number, name in enumerate(who):
            places = np.arange(len(venues)) + (number - (len(who) - 1) / 2) * width
            axes.bar(places, [rates[venue][name] for venue in venues], width, label=name)
        axes.set_xticks(range(len(venues)), venues)
        axes.set_ylim(0, 1)
        axes.legend()


class _Plot:
    """A figure with one pair of axes, saved to ``path`` on exit."""

    def __init__(self, path: Path, x: str, y: str) -> None:
        self._path = path
        self._labels = {"xlabel": x, "ylabel": y}

    def __enter__(self) -> Axes:
        # Without pyplot, no display backend is chosen and nothing is global.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._figure = Figure(figsize=(6, 5), layout="constrained")
        FigureCanvasAgg(self._figure)
        axes = self._figure.subplots()
        axes.set(**self._labels)
        return axes

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is None:
            self._figure.savefig(self._path, format="png", dpi=_DPI)


def _known(of: Outcomes) -> tuple[Ints, Floats]:
    known = ~np.isnan(of.probabilities)
    return of.labels[known], of.probabilities[known]
