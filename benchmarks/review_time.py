"""How long the embedded model takes to start and to review a paper of ten pages.

    python -m benchmarks.review_time [PAPER.pdf]

Starts the real service, as `reviewer serve` does, and sends the paper three times, each time with a
title of its own, so that no prompt is in the prefix cache. Without PAPER.pdf one is made.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx
import pymupdf

from benchmarks.report import report
from tests.papers import paper_html, typeset
from tests.service import Service

REVIEWS, PAGES = 3, 10


def ten_pages() -> bytes:
    return typeset(paper_html("A Paper of Ten Pages", words_per_section=520))


def retitled(paper: bytes, number: int) -> bytes:
    """The same paper with a word more on its first page, above all else."""
    with pymupdf.open(stream=paper, filetype="pdf") as document:
        document[0].insert_text((72, 60), f"Copy {number} of", fontsize=24)
        data: bytes = document.tobytes()
        return data


def main() -> None:
    paper = Path(sys.argv[1]).read_bytes() if len(sys.argv) > 1 else ten_pages()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "log") as service:
        ready_s = time.perf_counter() - started
        rows = []
        for number in range(REVIEWS):
            sent = time.perf_counter()
            response = httpx.post(
                f"{service.url}/v1/reviews",
                files={"file": ("paper.pdf", retitled(paper, number))},
                timeout=600,
            )
            review = response.raise_for_status().json()
            rows.append(
                {
                    "review": number + 1,
                    "pages": review["paper"]["pages"],
                    "seconds": round(time.perf_counter() - sent, 1),
                    "extract_s": review["timings"]["extract_s"],
                    "queue_s": review["timings"]["queue_s"],
                    "generate_s": review["timings"]["generate_s"],
                    "prompt": review["usage"]["prompt_tokens"],
                    "cached": review["usage"]["cached_tokens"],
                    "written": review["usage"]["completion_tokens"],
                    "cut": len(review["integrity"]["truncated"]),
                }
            )
    report(
        "review_time",
        "embedded model, default settings",
        rows,
        start_s=round(ready_s, 1),
        review_s=statistics.median(row["seconds"] for row in rows),
    )


if __name__ == "__main__":
    main()
