"""Time for the embedded model to start and to review a paper of ten pages.

    python -m benchmarks.review_time

Starts the real service, like `reviewer serve`, and sends three papers with different titles, so
that none profits from the prefix cache.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.report import report
from tests.papers import paper_html, typeset
from tests.service import Service

REVIEWS = 3


def ten_pages(number: int) -> bytes:
    return typeset(paper_html(f"Paper {number} of Ten Pages", words_per_section=520))


def main() -> None:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "log") as service:
        ready_s = time.perf_counter() - started
        rows = []
        for number in range(REVIEWS):
            sent = time.perf_counter()
            response = httpx.post(
                f"{service.url}/v1/reviews",
                files={"file": ("paper.pdf", ten_pages(number))},
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
