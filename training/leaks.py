"""Whether the papers' text gives their decision away: what can be told without reading.

Accepted papers that were collected in their final version say so, in words that no blinding knows
and by their length. A model trained on such text, or measured on it, has read the answer. So the
test runs on whatever was collected, and stands in every report: a bag of words fitted to the text
as prompts have it, to the abstracts alone, the text's length, and phrases that only one side has.
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
"""Fewest papers of each class that anything is said of."""
_FOLDS, _RESAMPLES, _MOST_WORDS, _TELLING = 5, 500, 100_000, 8
_SURE = 1.96
"""Standard errors of the difference of two shares."""
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
    """For the papers with an official decision: figures, or the reason why there are none."""
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
    """Each paper's score, by words of which only how common they are was learnt with it."""
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
        drawn = generator.integers(0, len(labels), len(labels))
        if 0 < labels[drawn].sum() < len(drawn):
            values.append(roc_auc_score(labels[drawn], scores[drawn]))
    low, high = np.quantile(values, [0.025, 0.975])
    value = float(roc_auc_score(labels, scores))
    return {"value": round(value, 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def _telling(texts: Sequence[str], labels: Ints) -> dict[str, list[str]]:
    """The words that a classifier of all the papers leans on most, for a person to look at."""
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
    """For each phrase, the shares of accepted and rejected papers with it, before blinding and
    after; ``tells`` where they differ, after it, by more than chance explains.
    """
    raw = [_raw_text(paper) for paper in papers]
    found = {}
    for name, pattern in BANNERS.items():
        sought = re.compile(pattern, re.IGNORECASE)
        before, after = (
            np.array([bool(sought.search(text)) for text in texts], dtype=np.float64)
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
    return bool(error and abs(one.mean() - other.mean()) > _SURE * error)


def told(found: dict[str, Any]) -> str:
    """The test in a sentence, for a terminal or a page."""
    if "reason" in found:
        return f"not tested for leaks: {found['reason']}"
    figures = found["auroc"]
    parts = [
        f"{name.replace('_', ' ')} {of['value']:.2f} [{of['low']:.2f}, {of['high']:.2f}]"
        for name, of in figures.items()
    ]
    telling = [name for name, phrase in found["phrases"].items() if phrase["tells"]]
    suffix = f"; phrases that tell: {', '.join(telling)}" if telling else ""
    return f"what tells the decision without reading (AUROC): {', '.join(parts)}{suffix}"
