"""Throughput of ``reviewer batch``, relative to a loop of ``curl`` over the same files.

    python -m benchmarks.batch

The service runs in a separate process with an engine double. Its reviews take a fixed time at any
concurrency, like those of a GPU below its batch size, so this measures the command and not a model.
The loop sends one request at a time, without resuming or retries. The variants take turns. The
command's start (Python, imports) is included.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.report import Value, report
from tests.client.command import tiny_papers
from tests.doubles import WHOLE_REVIEW
from tests.service import ScriptedService

PAPERS, ROUNDS, REVIEW_S = 48, 3, 1.0
LOOP = 'for f in "$1"/*.pdf; do curl -sf -F file=@"$f" "$2/v1/reviews" && echo; done > "$3"'


def by_curl(papers: Path, url: str, out: Path) -> None:
    subprocess.run(["sh", "-c", LOOP, "loop", papers, url, out], check=True)


def by_batch(papers: Path, url: str, out: Path, at_once: int) -> None:
    command: list[str | Path] = [
        Path(sys.executable).with_name("reviewer"),
        "batch",
        papers,
        "--out",
        out,
    ]
    subprocess.run(
        [*command, "--url", url, "--concurrency", str(at_once)], check=True, capture_output=True
    )


def main() -> None:
    assert shutil.which("curl"), "this needs curl"
    delay_s = REVIEW_S / len(WHOLE_REVIEW.splitlines())
    variants: dict[str, Callable[[Path, str, Path], None]] = {
        "curl in a loop": by_curl,
        "reviewer batch --concurrency 1": partial(by_batch, at_once=1),
        "reviewer batch --concurrency 8": partial(by_batch, at_once=8),
    }
    took: dict[str, list[float]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory() as place:
        papers = tiny_papers(Path(place, "papers"), PAPERS)
        for turn in range(ROUNDS):
            for name, run in variants.items():
                folder = Path(place, f"{turn}-{name}")
                folder.mkdir()
                # A separate service for each, as it would return stored reviews for papers that it
                # knows.
                with ScriptedService(folder / "log", SCRIPTED_DELAY_S=str(delay_s)) as service:
                    began = time.perf_counter()
                    run(papers, service.url, folder / "out.jsonl")
                    took[name].append(time.perf_counter() - began)
                assert len((folder / "out.jsonl").read_text().splitlines()) == PAPERS
    medians = {name: statistics.median(times) for name, times in took.items()}
    loop = medians["curl in a loop"]
    rows: list[dict[str, Value]] = [
        {
            "how": name,
            "seconds": round(median, 1),
            "papers a minute": round(60 * PAPERS / median),
            "of the loop": round(loop / median, 2),
        }
        for name, median in medians.items()
    ]
    setting = f"{PAPERS} papers, reviews of {REVIEW_S:g} s, median of {ROUNDS} rounds"
    report("batch", setting, rows, ratio=rows[-1]["of the loop"])


if __name__ == "__main__":
    main()
