"""Peak memory of ``reviewer batch`` with 100 and with 10,000 files.

    python -m benchmarks.batch_memory [FILES]

The files are Markdown with a few words, and a stub answers each with a small review at once, so
this measures the command and not a service. The last row is the same command again, when all papers
are done.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Value, report
from tests.client.command import REVIEWER, environment
from tests.client.stub import StubService, reviewed

FEW, MANY = 100, 10_000


def written(folder: Path, files: int) -> Path:
    folder.mkdir()
    for number in range(files):
        (folder / f"{number:05}.md").write_text(f"# Paper {number}\n\nWe count to {number}.\n")
    return folder


def batch(papers: Path, out: Path) -> dict[str, Value]:
    """Peak memory and time of the command; checks that every paper has a line afterwards."""
    with StubService(reviewed()) as service:
        began = time.perf_counter()
        command: list[str | Path] = [REVIEWER, "batch", papers, "--out", out]
        process = subprocess.Popen(
            [*command, "--url", service.url],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        took_s = time.perf_counter() - began
    assert os.waitstatus_to_exitcode(status) == 0
    assert out.read_bytes().count(b"\n") == len(list(papers.iterdir()))
    return {
        "asked for": len(service.asked),
        "peak MiB": round(used.ru_maxrss / 2**10, 1),
        "seconds": round(took_s, 1),
    }


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    with tempfile.TemporaryDirectory() as place:
        rows: list[dict[str, Value]] = []
        for files in (FEW, many):
            papers, out = written(Path(place, str(files)), files), Path(place, f"{files}.jsonl")
            rows.append({"files": files, **batch(papers, out)})
        rows.append({"files": many, **batch(papers, out)})
    few, grown, again = (float(row["peak MiB"] or 0) for row in rows)
    ratio = round(grown / few, 3)
    report("batch_memory", "a stub of a service", rows, ratio=ratio, again=round(again / few, 3))


if __name__ == "__main__":
    main()
