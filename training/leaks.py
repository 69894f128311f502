"""Tests whether the papers' text leaks their decision, apart from their content.

The final version of an accepted paper differs from a submission in its length and in phrases that
blinding does not cover. A model that is trained or measured on such text has seen the answer. So
the test runs on all collected papers and its result is part of every report: the AUROC of a bag of
words of the blinded text, of the abstracts alone and of the text's length, and phrases that are
more frequent in accepted or in rejected papers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from training.metrics import Floats, Ints
from training.rows import PaperRow, SectionRow, blinded_paper

LEAST = 10
"""Minimum number of papers of each class for a test."""
_FOLDS, _RESAMPLES, _MOST_WORDS, _TELLING = 5, 500, 100_000, 8
_CRITICAL_Z = 1.96
"""Of a two-sided test of two shares at the level of 5 %."""
BANNERS = {
    "published as": r"(?:published|accepted|appeared) (?:as|at|in) (?:an? )?(?:\w+ )?"
    r"(?:conference|paper|proceedings)",
    "under review": r"under (?:double.blind )?review|submitted to",
    "anonymous": r"anonymous author",
    "venue and year": r"\b(?:ICLR|NeurIPS|NIPS|ICML|ACL|CoNLL) ?(?:20|')\d\d\b",
    "work done while": r"work (?:was )?(?:partially |partly )?(?:done|performed|completed) "
    r"(?:while|during|when|at)",
    "equal contribution": r"equal contribution|contributed equally|corresponding author",
    "acknowledgement": r"\backnowledge?ments?\b|we (?:would like to )?thank ",
    "line numbers": r"(?:^|\n)\s*0\d\d\s*\n\s*0\d\d\s*\n",
}


def leaks_of(papers: Sequence[PaperRow], seed: int) -> dict[str, Any]:
    """The test's results for the papers with an official decision, or why there are none."""
    decided = [paper for paper in papers if paper.decision is not None]
    labels = np.array([paper.decision == "accept" for paper in decided], dtype=np.int64)
    accepted, rejected = int(labels.sum()), int(len(labels) - labels.sum())
    found: dict[str, Any] = {"papers": len(decided), "accepted": accepted}
    if min(accepted, rejected) < LEAST:
        return {**found, "reason": f"{accepted} accepted and {rejected} rejected papers: too few"}
    blinded = [_blinded_text(paper) for paper in decided]
    words = _by_words(blinded, labels, seed)
    abstracts = _by_words([paper.abstract for paper in decided], labels, seed)
    lengths = np.array([len(text) for text in blinded], dtype=np.float64)
    return {
        **found,
        "auroc": {
            "bag_of_words": _auroc(labels, words, seed),
            "bag_of_words_of_abstracts": _auroc(labels, abstracts, seed),
            "length": _auroc(labels, lengths, seed),
        },
        "telling_words": _telling(blinded, labels),
        "phrases": _phrases(decided, blinded, labels),
    }


def _blinded_text(paper: PaperRow) -> str:
    blind = blinded_paper(paper)
    return "\n".join(
        [blind.title, blind.abstract, *(f"{s.heading}\n{s.text}" for s in blind.sections)]
    )


def _raw_text(paper: PaperRow) -> str:
    def whole(section: SectionRow) -> str:
        return f"{section.heading}\n{section.text}"

    return "\n".join([paper.title, paper.abstract, *map(whole, paper.sections)])


def _vectorizer() -> TfidfVectorizer:
    return TfidfVectorizer(
        ngram_range=(1, 2), min_df=3, max_features=_MOST_WORDS, sublinear_tf=True, dtype=np.float32
    )


def _by_words(texts: Sequence[str], labels: Ints, seed: int) -> Floats:
    """Cross-validated scores from a bag of words. The IDF weights are fitted to all texts."""
    try:
        features = _vectorizer().fit_transform(texts)
    except ValueError:  # no word is in three papers
        return np.zeros(len(labels))
    by = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    model = LogisticRegression(C=10, max_iter=500)
    found = cross_val_predict(model, features, labels, cv=by, method="decision_function")
    return np.asarray(found, dtype=np.float64)


def _auroc(labels: Ints, scores: Floats, seed: int) -> dict[str, float]:
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(_RESAMPLES):
        resampled = generator.integers(0, len(labels), len(labels))
        if 0 < labels[resampled].sum() < len(resampled):
            values.append(roc_auc_score(labels[resampled], scores[resampled]))
    low, high = np.quantile(values, [0.025, 0.975])
    value = float(roc_auc_score(labels, scores))
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def _telling(texts: Sequence[str], labels: Ints) -> dict[str, list[str]]:
    """The words with the largest weights in a classifier of all papers, for inspection."""
    vectorizer = _vectorizer()
    try:
        model = LogisticRegression(C=10, max_iter=500).fit(vectorizer.fit_transform(texts), labels)
    except ValueError:
        return {"accepted": [], "rejected": []}
    names = vectorizer.get_feature_names_out()
    order = np.argsort(model.coef_[0])
    return {
        "accepted": [str(names[i]) for i in order[::-1][:_TELLING]],
        "rejected": [str(names[i]) for i in order[:_TELLING]],
    }


def _phrases(
    papers: Sequence[PaperRow], blinded: Sequence[str], labels: Ints
) -> dict[str, dict[str, Any]]:
    """For each phrase, the shares of accepted and rejected papers that contain it, before and after
    blinding. ``tells`` is true if the shares after blinding differ significantly.
    """
    raw = [_raw_text(paper) for paper in papers]
    found = {}
    for name, pattern in BANNERS.items():
        phrase = re.compile(pattern, re.IGNORECASE)
        before, after = (
            np.array([bool(phrase.search(text)) for text in texts], dtype=np.float64)
            for texts in (raw, blinded)
        )
        if before.any():
            found[name] = {
                "before": _shares(before, labels),
                "after": _shares(after, labels),
                "tells": _differ(after, labels),
            }
    return found


def _shares(has: Floats, labels: Ints) -> dict[str, float]:
    return {
        "accepted": round(float(has[labels == 1].mean()), 4),
        "rejected": round(float(has[labels == 0].mean()), 4),
    }


def _differ(has: Floats, labels: Ints) -> bool:
    one, other = has[labels == 1], has[labels == 0]
    mean = has.mean()
    error = float(np.sqrt(mean * (1 - mean) * (1 / len(one) + 1 / len(other))))
    return bool(error and abs(one.mean() - other.mean()) > _CRITICAL_Z * error)


def leak_summary(found: dict[str, Any]) -> str:
    """The result in one sentence."""
    if "reason" in found:
        return f"not tested for leaks: {found['reason']}"
    figures = found["auroc"]
    parts = [
        f"{name.replace('_', ' ')} {of['value']:.2f} [{of['low']:.2f}, {of['high']:.2f}]"
        for name, of in figures.items()
    ]
    telling = [name for name, phrase in found["phrases"].items() if phrase["tells"]]
    suffix = f"; phrases that leak it: {', '.join(telling)}" if telling else ""
    return f"how well the decision is predicted (AUROC) by {', '.join(parts)}{suffix}"
