"""Baselines to compare a reviewer with: accepting every paper, chance, text length, bag of words.

Length and words give a probability of acceptance by logistic regression. Such a baseline accepts
the papers with the highest probabilities, as many as the reviewer does, so it differs from the
reviewer in which papers it accepts and not in how many.

They are fitted to the training papers if the recipe says so. Otherwise the bag of words is
cross-validated within the benchmark, and the length model, which has two parameters, is fitted to
the benchmark itself, which flatters it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from training.metrics import ACCEPT, REJECT, Floats, Ints, Outcomes

FOLDS = 10
LEAST = 2
"""Minimum number of papers of each class to fit a model to."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of papers, and whether each paper was accepted."""

    texts: Sequence[str]
    labels: Ints

    @property
    def lengths(self) -> list[int]:
        """In characters, which predict the decision better than words do (see LOG.md)."""
        return [len(text) for text in self.texts]


def always_accept(outcomes: Outcomes) -> Outcomes:
    """The outcomes of a reviewer that accepts every paper with probability 1."""
    return replace(
        outcomes,
        answers=np.full(len(outcomes), ACCEPT, dtype=np.int64),
        probabilities=np.ones(len(outcomes)),
    )


def unusable_reason(labels: Ints) -> str | None:
    """Why no model can be fitted to papers with these labels; None if one can be."""
    for label, became in ((ACCEPT, "accepted"), (REJECT, "rejected")):
        count = int(np.sum(labels == label))
        if count < LEAST:
            return f"only {count} {became} papers to fit to"
    return None


def by_length(papers: Texts, train: Texts | None) -> Floats:
    """Probabilities of acceptance from the logarithm of a paper's length alone."""
    model = make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression())
    fitted = papers if train is None else train
    model.fit(_column(fitted.lengths), fitted.labels)
    return _acceptance(model.predict_proba(_column(papers.lengths)))


def by_words(papers: Texts, train: Texts | None, seed: int) -> Floats:
    """Probabilities of acceptance from a bag of words and word pairs (TF-IDF)."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, dtype=np.float32),
        LogisticRegression(C=10, max_iter=2000),
    )
    if train is None:
        return _out_of_fold(model, papers.texts, papers.labels, seed)
    model.fit(train.texts, train.labels)
    return _acceptance(model.predict_proba(papers.texts))


def at_same_rate(outcomes: Outcomes, probabilities: Floats) -> Outcomes:
    """The outcomes of a reviewer with these probabilities that accepts as many papers as the one of
    ``outcomes``.
    """
    accepted = int(np.sum(outcomes.answers == ACCEPT))
    answers = np.full(len(outcomes), REJECT, dtype=np.int64)
    answers[np.argsort(-probabilities, kind="stable")[:accepted]] = ACCEPT
    return replace(outcomes, answers=answers, probabilities=probabilities)


def _out_of_fold(model: Any, features: Any, labels: Ints, seed: int) -> Floats:
    """Cross-validated probabilities: each paper's comes from a model fitted without it."""
    folds = min(FOLDS, int(np.sum(labels == ACCEPT)), int(np.sum(labels == REJECT)))
    by = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return _acceptance(cross_val_predict(model, features, labels, cv=by, method="predict_proba"))


def _column(lengths: Sequence[int]) -> Floats:
    return np.array(lengths, dtype=np.float64).reshape(-1, 1)


def _acceptance(both: Floats) -> Floats:
    return np.asarray(both[:, 1], dtype=np.float64)
