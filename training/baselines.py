"""What a reviewer must beat: whoever accepts all, chance, the paper's length, its bare words.

Length and words become a probability of acceptance by logistic regression, and accept as many
papers as the reviewer beside them: those of the highest probability. So they differ from it in
which papers they accept, not in how many.

They are fitted to papers to train on where there are such. Otherwise words are cross-validated
within the benchmark; length, two numbers, is fitted to the benchmark itself, to its own advantage.
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
"""Fewest papers of each class that anything is fitted to."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Papers as a reader of bare words sees them, and what became of each."""

    texts: Sequence[str]
    labels: Ints

    @property
    def lengths(self) -> list[int]:
        """In characters, which tell more than words do: see the log."""
        return [len(text) for text in self.texts]


def always_accept(outcomes: Outcomes) -> Outcomes:
    """A reviewer that is certain of every paper."""
    return replace(
        outcomes,
        answers=np.full(len(outcomes), ACCEPT, dtype=np.int64),
        probabilities=np.ones(len(outcomes)),
    )


def unfit(labels: Ints) -> str | None:
    """Why nothing can be fitted to papers with these labels; None where it can."""
    for label, became in ((ACCEPT, "accepted"), (REJECT, "rejected")):
        count = int(np.sum(labels == label))
        if count < LEAST:
            return f"only {count} {became} papers to fit to"
    return None


def by_length(papers: Texts, train: Texts | None) -> Floats:
    """Probabilities of acceptance by the logarithm of a paper's length alone."""
    model = make_pipeline(FunctionTransformer(np.log1p), StandardScaler(), LogisticRegression())
    fitted = papers if train is None else train
    model.fit(_column(fitted.lengths), fitted.labels)
    return _acceptance(model.predict_proba(_column(papers.lengths)))


def by_words(papers: Texts, train: Texts | None, seed: int) -> Floats:
    """Probabilities of acceptance by a bag of words and pairs of words (TF-IDF)."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, dtype=np.float32),
        LogisticRegression(C=10, max_iter=2000),
    )
    if train is None:
        return _out_of_fold(model, papers.texts, papers.labels, seed)
    model.fit(train.texts, train.labels)
    return _acceptance(model.predict_proba(papers.texts))


def deciding(outcomes: Outcomes, probabilities: Floats) -> Outcomes:
    """A reviewer with these probabilities that accepts as many papers as that of ``outcomes``."""
    accepted = int(np.sum(outcomes.answers == ACCEPT))
    answers = np.full(len(outcomes), REJECT, dtype=np.int64)
    answers[np.argsort(-probabilities, kind="stable")[:accepted]] = ACCEPT
    return replace(outcomes, answers=answers, probabilities=probabilities)


def _out_of_fold(model: Any, features: Any, labels: Ints, seed: int) -> Floats:
    """Each paper's by a model that was fitted without it."""
    folds = min(FOLDS, int(np.sum(labels == ACCEPT)), int(np.sum(labels == REJECT)))
    by = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return _acceptance(cross_val_predict(model, features, labels, cv=by, method="predict_proba"))


def _column(lengths: Sequence[int]) -> Floats:
    return np.array(lengths, dtype=np.float64).reshape(-1, 1)


def _acceptance(both: Floats) -> Floats:
    return np.asarray(both[:, 1], dtype=np.float64)
