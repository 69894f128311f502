"""Time of ``make serve`` in a fresh clone with an empty home directory, and of a second run.

    python -m benchmarks.setup_time

Clones this repository's last commit into a temporary folder, so commit first. Nothing on the
machine is reused except pip's configuration. Needs 5 GB temporarily.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.report import Value, report
from tests.service import free_port

ROOT = Path(__file__).parents[1]
LONGEST_S = 1800


def until_ready(clone: Path, home: Path) -> float:
    """Seconds from ``make serve`` to the first answer of the model."""
    port = free_port()
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    environment = {**kept, **pip, "HOME": str(home), "REVIEWER_PORT": str(port)}
    started = time.perf_counter()
    process = subprocess.Popen(
        ["make", "serve"], cwd=clone, env=environment, start_new_session=True
    )
    try:
        while process.poll() is None and time.perf_counter() - started < LONGEST_S:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx.codes.OK:
                    return time.perf_counter() - started
            time.sleep(0.2)
        raise RuntimeError("the service did not become ready")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder) / "clone", Path(folder) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        first, again = until_ready(clone, home), until_ready(clone, home)
    rows: list[dict[str, Value]] = [
        {"start": "first, from nothing", "seconds": round(first, 1)},
        {"start": "second", "seconds": round(again, 1)},
    ]
    report(
        "setup_time",
        "make serve until ready",
        rows,
        first_s=rows[0]["seconds"],
        second_s=rows[1]["seconds"],
    )


if __name__ == "__main__":
    main()
