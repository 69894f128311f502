"""Computes the benchmark's metrics file: the reviewer's metrics, and those of the baselines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from app.review.decision import Decision
from training import baselines
from training.baselines import Texts
from training.errors import InputInvalid
from training.labels import label_of
from training.metrics import (
    Figure,
    Floats,
    Ints,
    Measured,
    Outcomes,
    Resampling,
    confusion,
    measured,
    measured_at_random,
    outcomes_of,
    strata_of,
)
from training.recipe import Benchmark, Label
from training.rows import PaperRow, ReviewedRow, blinded_paper

SHOWN = ("f1", "accuracy", "balanced_accuracy", "mcc", "auroc", "auroc_length_matched", "brier")
CONTAMINATION = (
    "base models are trained on public papers with their reviews and decisions, those of ICLR 2017 "
    "to 2021 by every current one. A good result on such papers may come from memory; the newest "
    "papers are also measured alone"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
ABOUT = {
    "unparsed": "a decision that can't be parsed is always wrong, and counts neither as an "
    "acceptance nor as a rejection",
    "always_accept": "accepts every paper, with probability 1",
    "same_rate_random": "the reviewer's own answers, assigned to the papers at random; values are "
    "means over the resamples",
    "length_only": "logistic regression on the logarithm of the blinded paper's characters; "
    "accepts as many papers as the reviewer",
    "bag_of_words": "logistic regression on TF-IDF of the blinded paper's words and word pairs; "
    "accepts as many papers as the reviewer",
    "auroc_length_matched": "AUROC within length classes, weighted by pairs of papers; that of "
    "length_only shows how much length still differs within a class",
    "more_than": "the reviewer's figures minus the baseline's, on the same resamples",
}


@dataclass(frozen=True)
class LabelledPapers:
    """The papers that have a label, with their labels."""

    papers: Sequence[PaperRow]
    labels: Sequence[Decision]
    unlabelled: Mapping[str, int]
    """Number of papers without a label, by venue."""

    @cached_property
    def texts(self) -> Texts:
        """The blinded papers' texts. Takes seconds for a hundred papers."""
        return Texts([_text(paper) for paper in self.papers], self.truths)

    @property
    def truths(self) -> Ints:
        return np.array([label == "accept" for label in self.labels], dtype=np.int64)


def labelled_papers(papers: Sequence[PaperRow], label: Label) -> LabelledPapers:
    """Label the papers as the recipe says.

    Raises:
        RecipeError: the label needs thresholds that the recipe does not have.
        InputInvalid: no paper has a label.
    """
    found = [(paper, label_of(paper, label)) for paper in papers]
    kept = [(paper, decision) for paper, decision in found if decision is not None]
    if not kept:
        raise InputInvalid(f"none of {len(papers)} papers has a label from source {label.source!r}")
    return LabelledPapers(
        [paper for paper, _ in kept],
        [decision for _, decision in kept],
        Counter(paper.venue for paper, decision in found if decision is None),
    )


def outcomes(
    labelled: LabelledPapers, rows: Sequence[ReviewedRow], length_classes: int
) -> Outcomes:
    """The model's answers for the papers that have a label."""
    by_paper = {row.paper: row for row in rows}
    answers = [by_paper[paper.id] for paper in labelled.papers]
    return outcomes_of(
        [label == "accept" for label in labelled.labels],
        [row.decision for row in answers],
        [row.probability for row in answers],
        strata_of(labelled.texts.lengths, length_classes),
    )


@dataclass(frozen=True)
class TextBaselines:
    """The probabilities of the baselines that read the text, or the reasons why there are none."""

    words: Floats | str
    length: Floats | str
    fitted_to: str


def fit_text_baselines(
    labelled: LabelledPapers, train: LabelledPapers | None, seed: int
) -> TextBaselines:
    """Fit both baselines to ``train``, or to the benchmark itself. Takes up to a minute."""
    reason = baselines.unusable_reason((train or labelled).truths)
    if reason:
        return TextBaselines(reason, reason, f"nothing: {reason}")
    texts = train.texts if train else None
    return TextBaselines(
        baselines.by_words(labelled.texts, texts, seed),
        baselines.by_length(labelled.texts, texts),
        f"{len(train.papers)} training papers"
        if train
        else "the benchmark (words with cross-validation, length without)",
    )


def report(
    labelled: LabelledPapers,
    rows: Sequence[ReviewedRow],
    text_baselines: TextBaselines,
    base: Sequence[ReviewedRow] | None,
    options: Benchmark,
    seed: int,
) -> dict[str, Any]:
    """The metrics file's content, without the part about the run."""
    resampling = Resampling(options.bootstrap, seed, options.confidence)
    of = outcomes(labelled, rows, options.length_classes)
    own = measured(of, resampling)
    beside: dict[str, Measured | str] = {
        "always_accept": measured(baselines.always_accept(of), resampling),
        "same_rate_random": measured_at_random(of, resampling),
    }
    for name, probabilities in (
        ("length_only", text_baselines.length),
        ("bag_of_words", text_baselines.words),
    ):
        beside[name] = (
            probabilities
            if isinstance(probabilities, str)
            else measured(baselines.at_same_rate(of, probabilities), resampling)
        )
    if base is not None:
        beside["base_model"] = measured(
            outcomes(labelled, base, options.length_classes), resampling
        )
    return {
        "papers": len(of),
        "accepted": int(np.sum(of.labels)),
        "unlabelled": dict(labelled.unlabelled),
        "label": options.label.model_dump(mode="json"),
        "mode": options.mode,
        "models": sorted({row.model for row in rows}),
        "bootstrap": {
            "resamples": options.bootstrap,
            "seed": seed,
            "confidence": options.confidence,
            "method": "percentiles, papers drawn with replacement",
        },
        "about": ABOUT,
        "baselines_fitted_to": text_baselines.fitted_to,
        "length_classes": options.length_classes,
        "decided_by": dict(Counter(row.decided_by or "nothing" for row in rows)),
        "confusion": confusion(of),
        "figures": _json(own.figures()),
        "venues": {venue: _venue(of[picked], resampling) for venue, picked in _venues(labelled)},
        "baselines": {name: _beside(own, other) for name, other in beside.items()},
        "contamination": contamination(labelled, of, options, resampling),
        "speed": _speed(rows),
    }


def contamination(
    labelled: LabelledPapers, of: Outcomes, options: Benchmark, resampling: Resampling
) -> dict[str, Any]:
    """The papers' years, and the metrics for the newest year alone."""
    years = [_year(paper) for paper in labelled.papers]
    known = sorted({year for year in years if year is not None})
    found: dict[str, Any] = {
        "about": CONTAMINATION,
        "base_read_until": options.base_read_until,
        "years": {str(year): years.count(year) for year in known},
    }
    if options.base_read_until is not None:
        found["may_have_been_read"] = sum(
            year is not None and year <= options.base_read_until for year in years
        )
    if known:
        newest = np.flatnonzero(np.array([year == known[-1] for year in years]))
        found["newest"] = {"year": known[-1], **_venue(of[newest], resampling)}
    return found


def _year(paper: PaperRow) -> int | None:
    """The year in the paper's column ``year`` or in its venue's name."""
    match = _YEAR.search(paper.columns.get("year", "")) or _YEAR.search(paper.venue)
    return int(match[0]) if match else None


def _beside(own: Measured, other: Measured | str) -> dict[str, Any]:
    if isinstance(other, str):
        return {"figures": None, "reason": other}
    return {"figures": _json(other.figures()), "more_than": _json(own.less(other))}


def _venues(labelled: LabelledPapers) -> list[tuple[str, Ints]]:
    names = np.array([paper.venue for paper in labelled.papers])
    return [(str(venue), np.flatnonzero(names == venue)) for venue in np.unique(names)]


def _venue(of: Outcomes, resampling: Resampling) -> dict[str, Any]:
    return {
        "papers": len(of),
        "accepted": int(np.sum(of.labels)),
        "confusion": confusion(of),
        "figures": _json(measured(of, resampling).figures()),
    }


def _speed(rows: Sequence[ReviewedRow]) -> dict[str, float | int]:
    """Token counts and times. ``seconds_per_paper`` includes waiting for other papers."""
    return {
        "papers": len(rows),
        "prompt_tokens": sum(row.prompt_tokens for row in rows),
        "completion_tokens": sum(row.completion_tokens for row in rows),
        "papers_cut": sum(row.truncated > 0 for row in rows),
        "reviews_cut_off": sum(row.finish_reason == "length" for row in rows),
        "seconds_per_paper": round(float(np.mean([row.seconds for row in rows])), 2),
    }


def _json(figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {name: figure.as_json() for name, figure in figures.items()}


def _text(paper: PaperRow) -> str:
    blind = blinded_paper(paper)
    parts = [f"{section.heading}\n{section.text}" for section in blind.sections]
    return "\n\n".join([blind.title, blind.abstract, *parts])
