"""Two hundred slow or broken clients at once, together with good clients.

    python -m benchmarks.slow_clients [SECONDS]

The scripted service runs on loopback with its default limits and four reviews at a time. A second
process has the bad clients, which reconnect when they are disconnected: a quarter send nothing, a
quarter send a byte of a body each second, a quarter a byte of a head each second, and a quarter
disconnect in the middle of a body. Good clients send small PDFs, one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import re
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx
import psutil

from benchmarks.report import Value, report
from tests.papers import paper_pdf
from tests.service import ScriptedService, Service

BAD, GOOD, PLACES, SECONDS = 200, 2, 4, 20.0
HEAD = (
    b"POST /v1/reviews HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/json\r\nContent-Length: 1000000\r\n"
)


async def _one(port: int, number: int, ended: asyncio.Event) -> None:
    """A bad client, which reconnects."""
    while not ended.is_set():
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await _behave_badly(reader, writer, number % 4)
            finally:
                writer.close()


async def _behave_badly(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, how: int
) -> None:
    if how == 0:
        await reader.read()
        return
    if how == 3:
        writer.write(HEAD + b"\r\n" + b"x" * 1000)
        await writer.drain()
        await asyncio.sleep(0.1)
        return
    writer.write(HEAD + (b"\r\n" if how == 1 else b"X-Long: "))
    while not reader.at_eof():
        writer.write(b"x")
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await reader.read(65536)


def be_bad(port: int, count: int, begun: Event, ended: Event) -> None:
    """In a process of its own."""

    async def all_of_them() -> None:
        over = asyncio.Event()
        clients = [asyncio.create_task(_one(port, number, over)) for number in range(count)]
        await asyncio.sleep(1)
        begun.set()
        await asyncio.to_thread(ended.wait)
        over.set()
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    asyncio.run(all_of_them())


def ask(url: str, seconds: float) -> list[tuple[int, float]]:
    """Status and milliseconds of each review, one after another."""
    paper, done = paper_pdf(), []
    ends = time.monotonic() + seconds
    with httpx.Client(base_url=url, timeout=60) as client:
        while time.monotonic() < ends:
            began = time.perf_counter()
            try:
                answer = client.post(
                    "/v1/reviews", files={"file": ("p", paper)}, data={"reuse": "false"}
                )
                status = answer.status_code
            except httpx.TransportError:
                status = 0
            done.append((status, 1000 * (time.perf_counter() - began)))
    return done


def measure(service: Service, seconds: float, name: str) -> dict[str, Value]:
    """The answers to good clients, and the service's maximum memory and concurrent reviews."""
    process, over = psutil.Process(service.process.pid), threading.Event()
    memory, places = [process.memory_info().rss], [0.0]

    def watch() -> None:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            while not over.wait(0.2):
                memory.append(process.memory_info().rss)
                found = re.search(
                    r"^reviewer_places_taken (\S+)$", client.get("/metrics").text, re.M
                )
                places.append(float(found[1]) if found else 0.0)

    with ThreadPoolExecutor(GOOD + 1) as threads:
        watching = threads.submit(watch)
        done = [
            one for each in threads.map(ask, [service.url] * GOOD, [seconds] * GOOD) for one in each
        ]
        over.set()
        watching.result()
    times = sorted(took for status, took in done if status == httpx.codes.OK) or [0.0]
    return {
        "meanwhile": name,
        "asked": len(done),
        "served": len([status for status, _ in done if status == httpx.codes.OK]),
        "p50 ms": round(times[len(times) // 2], 1),
        "p99 ms": round(times[int(0.99 * len(times))], 1),
        "most places": max(places),
        "MiB more": round((max(memory) - memory[0]) / 2**20, 1),
    }


def main(seconds: float = SECONDS, bad: int = BAD) -> list[dict[str, Value]]:
    context = multiprocessing.get_context("spawn")
    begun, ended = context.Event(), context.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        ScriptedService(Path(folder) / "log", REVIEWER_MAX_REVIEWS=str(PLACES)) as service,
    ):
        ask(service.url, 1)  # the first paper starts the processes that read them
        rows = [measure(service, seconds, "nobody")]
        others = context.Process(target=be_bad, args=(service.port, bad, begun, ended))
        others.start()
        begun.wait(60)
        rows.append(measure(service, seconds, f"{bad} bad ones"))
        ended.set()
        others.join()
    return rows


if __name__ == "__main__":
    RUN_FOR = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    ROWS = main(RUN_FOR)
    report("slow_clients", f"{PLACES} places, {GOOD} good clients, {RUN_FOR:g} s", ROWS)
