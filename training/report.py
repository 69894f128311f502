"""Reviewed papers -> the benchmark's JSON: figures, and beside them what they must beat."""

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
    measured_by_chance,
    outcomes_of,
    strata_of,
)
from training.recipe import Benchmark, Label
from training.rows import PaperRow, ReviewedRow, blinded_paper

SHOWN = ("f1", "accuracy", "balanced_accuracy", "mcc", "auroc", "auroc_length_matched", "brier")
CONTAMINATION = (
    "public papers, with their reviews and decisions, are in what base models have read: those of "
    "ICLR 2017 to 2021 in that of every current one. A good figure on such papers may be memory; "
    "the newest papers' stand apart"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
ABOUT = {
    "unparsed": "a decision that can't be read is wrong whatever became of the paper, and neither "
    "an acceptance nor a rejection",
    "always_accept": "accepts every paper, with probability 1",
    "same_rate_random": "the reviewer's own answers, dealt to the papers at random; values are the "
    "resamples' means",
    "length_only": "logistic regression on the logarithm of the blinded paper's characters; "
    "accepts as many papers as the reviewer",
    "bag_of_words": "logistic regression on TF-IDF of the blinded paper's words and pairs of them; "
    "accepts as many papers as the reviewer",
    "auroc_length_matched": "AUROC of pairs of papers from one class of length, the classes "
    "weighted by their pairs; length_only's own says what the classes leave of length",
    "more_than": "the reviewer's figures less the baseline's, of the same resamples",
}


@dataclass(frozen=True)
class Judged:
    """The papers that have a label, and what became of them."""

    papers: Sequence[PaperRow]
    labels: Sequence[Decision]
    unlabelled: Mapping[str, int]
    """By venue, how many have none."""

    @cached_property
    def texts(self) -> Texts:
        """The blinded papers in words; seconds for a hundred."""
        return Texts([_text(paper) for paper in self.papers], self.truths)

    @property
    def truths(self) -> Ints:
        return np.array([label == "accept" for label in self.labels], dtype=np.int64)


def judged(papers: Sequence[PaperRow], label: Label) -> Judged:
    """The papers by the label that the recipe names.

    Raises:
        RecipeError: the label's source does not suit them.
        InputInvalid: none has one.
    """
    found = [(paper, label_of(paper, label)) for paper in papers]
    kept = [(paper, is_) for paper, is_ in found if is_ is not None]
    if not kept:
        raise InputInvalid(f"none of {len(papers)} papers has a label from source {label.source!r}")
    return Judged(
        [paper for paper, _ in kept],
        [is_ for _, is_ in kept],
        Counter(paper.venue for paper, is_ in found if is_ is None),
    )


def outcomes(judged: Judged, rows: Sequence[ReviewedRow], length_classes: int) -> Outcomes:
    """What the model said of the papers that have a label."""
    of = {row.paper: row for row in rows}
    answers = [of[paper.id] for paper in judged.papers]
    return outcomes_of(
        [label == "accept" for label in judged.labels],
        [row.decision for row in answers],
        [row.probability for row in answers],
        strata_of(judged.texts.lengths, length_classes),
    )


@dataclass(frozen=True)
class Rivals:
    """What each reviewer is compared with; ``words`` and ``length`` are probabilities, or the
    reason why there are none.
    """

    words: Floats | str
    length: Floats | str
    fitted_to: str


def rivals_of(judged: Judged, train: Judged | None, seed: int) -> Rivals:
    """Length and words, fitted to ``train`` or to the benchmark itself. Seconds to a minute."""
    reason = baselines.unfit((train or judged).truths)
    if reason:
        return Rivals(reason, reason, f"nothing: {reason}")
    texts = train.texts if train else None
    return Rivals(
        baselines.by_words(judged.texts, texts, seed),
        baselines.by_length(judged.texts, texts),
        f"{len(train.papers)} papers to train on"
        if train
        else "the benchmark: words by cross-validation, length in whole",
    )


def report(
    judged: Judged,
    rows: Sequence[ReviewedRow],
    rivals: Rivals,
    base: Sequence[ReviewedRow] | None,
    asked: Benchmark,
    seed: int,
) -> dict[str, Any]:
    """Everything that the metrics file holds but what the run was."""
    resampling = Resampling(asked.bootstrap, seed, asked.confidence)
    of = outcomes(judged, rows, asked.length_classes)
    own = measured(of, resampling)
    beside: dict[str, Measured | str] = {
        "always_accept": measured(baselines.always_accept(of), resampling),
        "same_rate_random": measured_by_chance(of, resampling),
    }
    for name, told in (("length_only", rivals.length), ("bag_of_words", rivals.words)):
        beside[name] = (
            told if isinstance(told, str) else measured(baselines.deciding(of, told), resampling)
        )
    if base is not None:
        beside["base_model"] = measured(outcomes(judged, base, asked.length_classes), resampling)
    return {
        "papers": len(of),
        "accepted": int(np.sum(of.labels)),
        "unlabelled": dict(judged.unlabelled),
        "label": asked.label.model_dump(mode="json"),
        "mode": asked.mode,
        "models": sorted({row.model for row in rows}),
        "bootstrap": {
            "resamples": asked.bootstrap,
            "seed": seed,
            "confidence": asked.confidence,
            "method": "percentiles, papers drawn with replacement",
        },
        "about": ABOUT,
        "baselines_fitted_to": rivals.fitted_to,
        "length_classes": asked.length_classes,
        "decided_by": dict(Counter(row.decided_by or "nothing" for row in rows)),
        "confusion": confusion(of),
        "figures": _json(own.figures()),
        "venues": {venue: _venue(of[picked], resampling) for venue, picked in _venues(judged)},
        "baselines": {name: _beside(own, other) for name, other in beside.items()},
        "contamination": contamination(judged, of, asked, resampling),
        "speed": _speed(rows),
    }


def contamination(
    judged: Judged, of: Outcomes, asked: Benchmark, resampling: Resampling
) -> dict[str, Any]:
    """How old the papers are, and the figures of the newest alone."""
    years = [_year(paper) for paper in judged.papers]
    known = sorted({year for year in years if year is not None})
    found: dict[str, Any] = {
        "about": CONTAMINATION,
        "base_read_until": asked.base_read_until,
        "years": {str(year): years.count(year) for year in known},
    }
    if asked.base_read_until is not None:
        found["may_have_been_read"] = sum(
            year is not None and year <= asked.base_read_until for year in years
        )
    if known:
        newest = np.flatnonzero(np.array([year == known[-1] for year in years]))
        found["newest"] = {"year": known[-1], **_venue(of[newest], resampling)}
    return found


def _year(paper: PaperRow) -> int | None:
    """Of its column ``year``, or of its venue's name."""
    match = _YEAR.search(paper.columns.get("year", "")) or _YEAR.search(paper.venue)
    return int(match[0]) if match else None


def _beside(own: Measured, other: Measured | str) -> dict[str, Any]:
    if isinstance(other, str):
        return {"figures": None, "reason": other}
    return {"figures": _json(other.figures()), "more_than": _json(own.less(other))}


def _venues(judged: Judged) -> list[tuple[str, Ints]]:
    names = np.array([paper.venue for paper in judged.papers])
    return [(str(venue), np.flatnonzero(names == venue)) for venue in np.unique(names)]


def _venue(of: Outcomes, resampling: Resampling) -> dict[str, Any]:
    return {
        "papers": len(of),
        "accepted": int(np.sum(of.labels)),
        "confusion": confusion(of),
        "figures": _json(measured(of, resampling).figures()),
    }


def _speed(rows: Sequence[ReviewedRow]) -> dict[str, float | int]:
    """``seconds_per_paper`` has waiting for other papers in it."""
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
