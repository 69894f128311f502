"""Latency of /livez while PDFs are being read.

    python -m benchmarks.liveness [FOLDER]

Sends eight long PDFs at once, repeatedly, and requests /livez continuously; then the same without
PDFs. FOLDER contains the PDFs; by default eight with 47 pages are made. The reviews come from an
engine double, so only the reading uses the CPU.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import uvicorn

from app.main import create_app
from app.settings import Settings
from benchmarks.report import Value, report
from tests.doubles import ScriptedEngine
from tests.papers import paper_html, typeset
from tests.service import free_port

AT_ONCE, SECONDS, PAUSE_S = 8, 20.0, 0.005


def ask(url: str, seconds: float) -> list[float]:
    """Milliseconds of each /livez, one after another, for so many seconds."""
    took: list[float] = []
    ends = time.monotonic() + seconds
    with httpx.Client(base_url=url) as client:
        while time.monotonic() < ends:
            started = time.perf_counter()
            client.get("/livez").raise_for_status()
            took.append(1000 * (time.perf_counter() - started))
            time.sleep(PAUSE_S)
    return took


def read_until(stop: threading.Event, url: str, papers: list[bytes]) -> int:
    """Reviews of ``papers``, AT_ONCE at a time, until told to stop; returns how many."""
    done = 0

    def one(paper: bytes) -> None:
        nonlocal done
        while not stop.is_set():
            response = httpx.post(
                f"{url}/v1/reviews",
                files={"file": ("p", paper)},
                data={"reuse": "false"},
                timeout=120,
            )
            response.raise_for_status()
            done += 1

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(one, papers))
    return done


def serve(settings: Settings) -> None:
    """In the service's process."""
    # Not above: the processes that read PDFs import this module again, and transformers can't be
    # imported while they do.
    from app.engine.models import SMOLLM2, locate
    from app.engine.tokenizer import ChatTokenizer

    tokenizer = ChatTokenizer.load(locate(SMOLLM2, settings.cache_dir))
    app = create_app(settings, ScriptedEngine(tokenizer))
    uvicorn.run(app, port=settings.port, log_level="error")


def main() -> None:
    if len(sys.argv) > 1:
        papers = [file.read_bytes() for file in sorted(Path(sys.argv[1]).glob("*.pdf"))[:AT_ONCE]]
    else:
        papers = [typeset(paper_html(f"Paper {n}", words_per_section=2500)) for n in range(AT_ONCE)]
    folder = tempfile.TemporaryDirectory()
    settings = Settings(port=free_port(), data_dir=Path(folder.name))
    service = multiprocessing.get_context("spawn").Process(target=serve, args=(settings,))
    service.start()
    url = f"http://127.0.0.1:{settings.port}"
    warm = False
    while not warm:
        time.sleep(0.1)
        with contextlib.suppress(httpx.TransportError):
            review = httpx.post(f"{url}/v1/reviews", files={"file": ("p", papers[0])}, timeout=60)
            warm = review.is_success
    idle = ask(url, SECONDS / 4)
    stop = threading.Event()
    with ThreadPoolExecutor(1) as background:
        reading = background.submit(read_until, stop, url, papers)
        time.sleep(1)
        busy = ask(url, SECONDS)
        stop.set()
        read = reading.result()
    service.terminate()
    service.join()
    folder.cleanup()
    rows: list[dict[str, Value]] = [
        {
            "while": name,
            "requests": len(took),
            "p50 ms": round(statistics.median(took), 2),
            "p99 ms": round(sorted(took)[int(0.99 * len(took))], 2),
            "max ms": round(max(took), 2),
        }
        for name, took in (("idle", idle), (f"{AT_ONCE} PDFs are read", busy))
    ]
    report("liveness", f"/livez for {SECONDS:g} s", rows, pdfs_read=read, p99_ms=rows[1]["p99 ms"])


if __name__ == "__main__":
    main()
