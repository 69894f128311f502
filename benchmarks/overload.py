"""Ten times as many reviews at once as the service accepts: answers, memory and /livez latency.

    python -m benchmarks.overload

A service process with an engine double gets PDFs of 1 MB from a second process, all at the same
time: first as many as it accepts, then ten times as many. A third process requests /livez
continuously. The difference in memory is the cost of the refused requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil

from benchmarks.report import Value, report
from tests.papers import paper_pdf
from tests.service import ScriptedService, Service

LIMIT, TIMES, BODY_BYTES = 64, 10, 1_000_000
ANSWERED_WITHIN_S = 300
PAUSE_S = 0.01
_BOUNDARY = b"limit"


def body() -> bytes:
    """A form with a small paper, made large by what stands behind its end."""
    paper = paper_pdf()
    part = b'Content-Disposition: form-data; name="file"; filename="p.pdf"\r\n\r\n'
    padded = paper + b"\n%" + b"x" * (BODY_BYTES - len(paper))
    anew = b'Content-Disposition: form-data; name="reuse"\r\n\r\nfalse'
    return b"--%s\r\n%s\r\n--%s\r\n%s%s\r\n--%s--\r\n" % (
        *(_BOUNDARY, anew),
        *(_BOUNDARY, part, padded),
        _BOUNDARY,
    )


async def one(port: int, content: bytes) -> str:
    """The answer's status, or what came instead."""
    head = (
        b"POST /v1/reviews HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: multipart/form-data; boundary=%s\r\nContent-Length: %d\r\n\r\n"
    ) % (_BOUNDARY, len(content))
    try:
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            sending = asyncio.create_task(_send(writer, head + content))
            status = await reader.readline()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            writer.close()
    except (OSError, TimeoutError) as error:
        return type(error).__name__
    return status.split()[1].decode() if status else "no answer"


async def _send(writer: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(OSError):
        writer.write(data)
        await writer.drain()


def flood(port: int, count: int) -> Counter[str]:
    """In a process of its own."""

    async def all_at_once() -> Counter[str]:
        content = body()
        return Counter(await asyncio.gather(*(one(port, content) for _ in range(count))))

    return asyncio.run(all_at_once())


class Watch:
    """Resident memory and /livez of a service, until it is told to stop."""

    def __init__(self, service: Service) -> None:
        self._process = psutil.Process(service.process.pid)
        self._url = service.url
        self._stop = threading.Event()
        self.took_ms: list[float] = []
        self.before = self.peak = self._process.memory_info().rss
        self._threads = [threading.Thread(target=work) for work in (self._ask, self._weigh)]

    def __enter__(self) -> Watch:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._stop.is_set():
                started = time.perf_counter()
                client.get("/livez").raise_for_status()
                self.took_ms.append(1000 * (time.perf_counter() - started))
                time.sleep(PAUSE_S)

    def _weigh(self) -> None:
        while not self._stop.wait(0.02):
            self.peak = max(self.peak, self._process.memory_info().rss)


def measure(service: Service, count: int) -> dict[str, Value]:
    with (
        multiprocessing.get_context("spawn").Pool(1) as pool,
        Watch(service) as watch,
    ):
        started = time.perf_counter()
        answers = pool.apply(flood, (service.port, count))
        took = time.perf_counter() - started
    times = sorted(watch.took_ms)
    return {
        "at once": count,
        **{status: answers[status] for status in ("200", "429", "503")},
        "other": count - sum(answers[status] for status in ("200", "429", "503")),
        "seconds": round(took, 1),
        "MiB before": round(watch.before / 2**20, 1),
        "MiB more at the peak": round((watch.peak - watch.before) / 2**20, 1),
        "/livez": len(times),
        "p50 ms": round(times[len(times) // 2], 1),
        "p99 ms": round(times[int(0.99 * len(times))], 1),
    }


def main() -> None:
    told = {
        "REVIEWER_MAX_REVIEWS": str(LIMIT),
        "SCRIPTED_DELAY_S": "0.05",
        "SCRIPTED_TOKENIZER": "smollm2",
    }
    with tempfile.TemporaryDirectory() as folder:
        with ScriptedService(Path(folder) / "log", **told) as service:
            measure(service, LIMIT)  # the first papers start the processes that read them
            rows = [measure(service, LIMIT), measure(service, TIMES * LIMIT)]
        faults = (Path(folder) / "log").read_text().count("unexpected")
    within, over = rows
    report(
        "overload",
        f"limit {LIMIT}, bodies of {BODY_BYTES / 1e6:g} MB",
        rows,
        unanswered=over["other"],
        faults=faults,
        peak_mib_more_than_within_the_limit=round(
            float(over["MiB more at the peak"] or 0) - float(within["MiB more at the peak"] or 0), 1
        ),
        livez_p99_ms=over["p99 ms"],
    )


if __name__ == "__main__":
    main()
