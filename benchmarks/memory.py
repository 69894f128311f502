"""Resident memory of the gateway's process after 20 and after 200 reviews.

    python -m benchmarks.memory

The real service and model, with a different PDF for each review, four at a time, 16 new tokens
each.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil

from benchmarks.report import report
from tests.papers import paper_pdf
from tests.service import Service

MILESTONES, AT_ONCE = (20, 50, 100, 150, 200), 4
SMALL = {"REVIEWER_PROMPT_TOKENS": "600", "REVIEWER_MAX_TOKENS": "16"}


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder) / "log", **SMALL, REVIEWER_REVIEW_FORMAT="free") as service,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        gateway = psutil.Process(service.process.pid)

        def one(number: int) -> None:
            files = {"file": ("paper.pdf", paper_pdf(f"Paper Number {number}"))}
            httpx.post(f"{service.url}/v1/reviews", files=files, timeout=120).raise_for_status()

        rows, done = [], 0
        for milestone in MILESTONES:
            list(threads.map(one, range(done, milestone)))
            done = milestone
            resident = gateway.memory_info().rss / 2**20
            rows.append({"reviews": done, "gateway MiB": round(resident, 1)})
    first, last = float(rows[0]["gateway MiB"]), float(rows[-1]["gateway MiB"])
    report("memory", f"{AT_ONCE} at a time", rows, ratio_200_to_20=round(last / first, 4))


if __name__ == "__main__":
    main()
