"""What a model's verdicts are worth on ICLR papers as they were submitted, blind.

    python -m benchmarks.verdicts MODEL FILE.jsonl.gz [--first N] [--out verdicts.jsonl]

FILE has a JSON object a line with `id`, `accepted` and `markdown`. The service reads each paper as
Markdown and its verdict alone (`mode: verdict`), with the model's defaults. Accepted and rejected
papers take turns, so that any number of them is balanced as long as there are both. Each verdict is
kept in the output as soon as it is read, and the same command goes on where it ended.

The intervals are 95 % percentiles of 2,000 resamples of papers.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import time
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from benchmarks.report import report
from benchmarks.resumed import reviewer_and_rows, rows_of
from training.metrics import Outcomes, Resampling, measured, outcomes_of

TIMEOUT_S = 1800
COLUMNS = ("value", "low", "high", "reason")


def papers_of(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        papers = [json.loads(line) for line in lines]
    classes = [[p for p in papers if p["accepted"] is accepted] for accepted in (True, False)]
    return [paper for paper in chain.from_iterable(zip_longest(*classes)) if paper]


def read_all(model: str, file: Path, papers: list[dict[str, Any]], out: Path) -> None:
    """Append a verdict for each paper that has none yet."""
    done = {(row["model"], row["file"], row["paper"]) for row in rows_of(out)}
    left = [paper for paper in papers if (model, file.name, paper["id"]) not in done]
    if not left:
        return
    with reviewer_and_rows(model, out) as (service, rows):
        for paper in left:
            began = time.perf_counter()
            answer = httpx.post(
                f"{service.url}/v1/reviews",
                files={"file": ("paper.md", paper["markdown"].encode(), "text/markdown")},
                data={"mode": "verdict"},
                timeout=TIMEOUT_S,
            )
            review = answer.raise_for_status().json()
            row = {
                "model": model,
                "file": file.name,
                "paper": paper["id"],
                "accepted": paper["accepted"],
                "decision": review["verdict"]["decision"],
                "probability": review["verdict"]["probability"],
                "prompt": review["usage"]["prompt_tokens"],
                "seconds": round(time.perf_counter() - began, 1),
            }
            rows.append(row)
            print(row, file=sys.stderr, flush=True)


def outcomes(rows: list[dict[str, Any]]) -> Outcomes:
    return outcomes_of(
        [row["accepted"] for row in rows],
        [row["decision"] for row in rows],
        [row["probability"] for row in rows],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    parser.add_argument("--first", type=int)
    parser.add_argument("--out", type=Path, default=Path("verdicts.jsonl"))
    asked = parser.parse_args()
    papers = papers_of(asked.file)[: asked.first]
    read_all(asked.model, asked.file, papers, asked.out)
    wanted = {paper["id"] for paper in papers}
    rows = [
        row
        for row in rows_of(asked.out)
        if (row["model"], row["file"]) == (asked.model, asked.file.name) and row["paper"] in wanted
    ]
    figures = measured(outcomes(rows), Resampling(2000, seed=0)).figures()
    report(
        "verdicts",
        f"{Path(asked.model).name}, {asked.file.name}, {len(rows)} papers, "
        f"{sum(row['accepted'] for row in rows)} accepted, not calibrated",
        [
            {"figure": name} | {column: figure.as_json().get(column) for column in COLUMNS}
            for name, figure in figures.items()
        ],
        seconds_a_verdict=statistics.median(row["seconds"] for row in rows),
        mean_probability=round(float(np.mean([row["probability"] for row in rows])), 3),
    )


if __name__ == "__main__":
    main()
