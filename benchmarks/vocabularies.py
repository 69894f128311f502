"""Constrained and free reviews by models with different vocabularies.

    python -m benchmarks.vocabularies MODEL ... [--reviews 50] [--papers FOLDER]

Like :mod:`benchmarks.constrained`, for each MODEL: an alias (``smollm2``), a model's folder, or
``tiny-gemma-4``, which has Gemma 4's shape and vocabulary with random weights. Every constrained
review must have the exact headings and verdict, text in all sections, and no broken characters.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.constrained import AT_ONCE, NEW_TOKENS, PROMPT_TOKENS, TEMPERATURE, measure, read
from benchmarks.gemma4 import BLANK_LINE, HEADING, write_tiny_model
from benchmarks.report import Value, report
from tests.conftest import SHARED

HELD_ROUND, FREE_ROUND = 25, 16
TINY = "tiny-gemma-4"


def row(model: str, papers: Path, reviews: int) -> dict[str, Value]:
    with tempfile.TemporaryDirectory() as scratch:
        name = model
        if model == TINY:
            model = str(write_tiny_model(Path(scratch) / TINY, (BLANK_LINE, HEADING)))
        held, free = asyncio.run(measure(model, read(papers), reviews, HELD_ROUND, FREE_ROUND))
    counts = held.row()
    whole = ("reviews", "to the letter", "with every section", "with decision")
    faults = ("with one that only repeats", "with broken characters")
    return {
        "model": Path(name).name,
        **{count: counts[count] for count in (*whole, *faults, "tokens/s")},
        "free: reviews": len(free.texts),
        "free: with decision": free.row()["with decision"],
        "free: tokens/s": round(free.speed, 1),
        "speed of free": round(held.speed / free.speed, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", nargs="+")
    parser.add_argument("--reviews", type=int, default=50)
    parser.add_argument("--papers", type=Path, default=SHARED / "pdfs" / "papers")
    asked = parser.parse_args()
    rows = []
    for model in asked.model:
        rows.append(row(model, asked.papers, asked.reviews))
        print(rows[-1], file=sys.stderr)
    report(
        "vocabularies",
        f"temperature {TEMPERATURE}, prompts of {PROMPT_TOKENS} tokens, {NEW_TOKENS} new, "
        f"{AT_ONCE} at a time",
        rows,
    )


if __name__ == "__main__":
    main()
