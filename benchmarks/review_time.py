"""How long a model takes to start and to review a paper of ten pages, and the memory it needs.

    python -m benchmarks.review_time [MODEL] [--reviews 3]

Starts the real service with MODEL (an alias, a folder, a TOML file; by default what `auto` is), as
`reviewer serve` does, and streams reviews of papers that differ from their titles on, so that none
is in the prefix cache of another. `first_s` is the time from sending the PDF to the first finished
section. Tokens a second are those of the prompt until the first word, and of the text after it.
The memory is that of all of the service's processes, shared pages counted once, at its highest
while a review was written; what the start needed for a moment is not in it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
from httpx_sse import EventSource

from benchmarks.report import Value, report
from tests.papers import paper_html, typeset
from tests.service import Service

LONGEST_S = 1800
_GB = 1e9


def ten_pages(number: int) -> bytes:
    return typeset(paper_html(f"Paper {number} of Ten Pages", words_per_section=520))


def memory_gb(service: Service) -> float:
    gateway = psutil.Process(service.process.pid)
    whole = 0
    for process in [gateway, *gateway.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            whole += process.memory_full_info().pss
    return whole / _GB


def measure(service: Service, number: int) -> dict[str, Value]:
    sent = time.perf_counter()
    first, memory, review = None, 0.0, dict[str, Any]()
    with httpx.stream(
        "POST",
        f"{service.url}/v1/reviews",
        files={"file": ("paper.pdf", ten_pages(number))},
        data={"stream": "true"},
        timeout=LONGEST_S,
    ) as response:
        for event in EventSource(response).iter_sse():
            if event.event == "review.section.completed":
                first = first or time.perf_counter() - sent
                memory = max(memory, memory_gb(service))
            elif event.event == "review.completed":
                review = json.loads(event.data)["review"]
    times, usage = review["timings"], review["usage"]
    return {
        "review": number + 1,
        "pages": review["paper"]["pages"],
        "first_s": round(first or 0, 1),
        "seconds": round(time.perf_counter() - sent, 1),
        "prompt": usage["prompt_tokens"],
        "read_tokens_s": round(usage["prompt_tokens"] / times["queue_s"], 1),
        "written": usage["completion_tokens"],
        "write_tokens_s": round(usage["completion_tokens"] / times["generate_s"], 1),
        "memory_gb": round(memory, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", nargs="?", default="auto")
    parser.add_argument("--reviews", type=int, default=3)
    asked = parser.parse_args()
    started = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "log", REVIEWER_MODEL=asked.model) as service,
    ):
        ready_s = time.perf_counter() - started
        rows = []
        for number in range(asked.reviews):
            rows.append(measure(service, number))
            print(rows[-1], flush=True)
    report(
        "review_time",
        f"{Path(asked.model).name}, default settings",
        rows,
        start_s=round(ready_s, 1),
        review_s=statistics.median(float(row["seconds"] or 0) for row in rows),
    )


if __name__ == "__main__":
    main()
