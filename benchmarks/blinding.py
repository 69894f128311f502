"""Whether text other than the content lets a classifier separate accepted from rejected papers.

    python -m benchmarks.blinding [frontmatter.jsonl.gz]

A bag of words (TF-IDF of words and word pairs, logistic regression), cross-validated by paper, is
trained on first pages as extracted, on the blinded pages, and on the abstracts alone. AUROC with
95 % intervals from 2,000 bootstrap resamples of papers; the last column is the paired difference to
the abstracts. Needs requirements/training.txt.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline

from app.paper.model import Paper, Paragraph, ParagraphKind, Section
from app.paper.screening.blinding import blind_paper
from benchmarks.report import report

DATA = Path(__file__).parents[2] / "shared" / "data" / "neurips2025" / "frontmatter.jsonl.gz"
BOOTSTRAPS = 2000
FOLDS = 10

Row = Mapping[str, Any]
Floats = np.ndarray[Any, np.dtype[np.float64]]


def paper_of(row: Row) -> Paper:
    """The paper that an extraction makes from the lines of a first page."""
    lines = [(line["label"], line["text"]) for line in row["page1"]]
    at = next((i for i, (_, text) in enumerate(lines) if text.strip() == "Abstract"), 0)
    front = tuple(Paragraph(text) for _, text in lines[:at])
    sections = [Section("", front, "front_matter", page=1)]
    heading, paragraphs = "", list[Paragraph]()
    for label, text in lines[at + 1 :]:
        if label == "section_header":
            sections.append(Section(heading, tuple(paragraphs), page=1))
            heading, paragraphs = text, []
        elif text != row["abstract"]:
            paragraphs.append(Paragraph(text, _kind(label)))
    sections.append(Section(heading, tuple(paragraphs), page=1))
    thanks = row["acknowledgements"]
    if thanks:
        sections.append(Section("Acknowledgements", (Paragraph(thanks),), "acknowledgements"))
    return Paper(row["title"], row["abstract"], tuple(sections))


def _kind(label: str) -> ParagraphKind:
    return "footnote" if label in ("footnote", "page_footer", "page_header") else "text"


def text_of(paper: Paper) -> str:
    parts = [f"{section.heading}\n{section.text}" for section in paper.sections]
    return "\n\n".join([paper.title, paper.abstract, *parts])


def predictions(texts: Sequence[str], labels: Floats, seed: int) -> Floats:
    """Out-of-fold probabilities of acceptance."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(C=10, class_weight="balanced", max_iter=2000),
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    both: Floats = cross_val_predict(model, texts, labels, cv=folds, method="predict_proba")
    return both[:, 1]


def bootstrap(labels: Floats, scores: Floats, seed: int) -> Floats:
    """AUROC of resampled papers; the same samples for the same seed."""
    generator = np.random.default_rng(seed)
    found: list[float] = []
    while len(found) < BOOTSTRAPS:
        picked = generator.integers(0, len(labels), len(labels))
        if 0 < labels[picked].sum() < len(labels):
            found.append(float(roc_auc_score(labels[picked], scores[picked])))
    return np.array(found)


def interval(samples: Floats) -> str:
    low, high = np.percentile(samples, [2.5, 97.5])
    return f"[{low:.2f}, {high:.2f}]"


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DATA
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    labels = np.array([float(row["accepted"]) for row in rows])
    papers = [paper_of(row) for row in rows]
    texts = {
        "abstract alone": [row["title"] + "\n" + row["abstract"] for row in rows],
        "blinding off": [text_of(paper) for paper in papers],
        "blinding on": [text_of(blind_paper(paper)) for paper in papers],
    }
    table: list[dict[str, str | int | float | None]] = []
    alone: Floats | None = None
    for name, of in texts.items():
        scores = predictions(of, labels, seed=0)
        samples = bootstrap(labels, scores, seed=0)
        alone = samples if alone is None else alone
        table.append(
            {
                "text": name,
                "AUROC": round(float(roc_auc_score(labels, scores)), 3),
                "95 % interval": interval(samples),
                "more than abstracts": interval(samples - alone),
            }
        )
    report("blinding", f"{len(rows)} first pages, {int(labels.sum())} of accepted papers", table)


if __name__ == "__main__":
    main()
