"""Memory and /livez latency while 12 MB of JSON without content are received.

    python -m benchmarks.large_json

Each body is sent to the scripted service a few times while a second thread requests /livez.
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil

from benchmarks.report import Value, report
from tests.service import ScriptedService, Service

MB, TIMES = 12, 3
LISTS = b"[]," * (MB * 10**6 // 3) + b"1]"
BODIES = {
    "a list": ("/v1/reviews", b"[" + LISTS),
    "a body of lists": ("/v1/reviews", b'{"body": [' + LISTS + b"}"),
    "a chat's messages": ("/v1/chat/completions", b'{"messages": [' + LISTS + b"}"),
    "a chat's tools": ("/v1/chat/completions", b'{"tools": [' + LISTS + b', "file": 1}'),
    "names": ("/v1/reviews", b"{" + b",".join(b'"%07d":1' % n for n in range(MB * 80_000)) + b"}"),
    "objects": ("/v1/chat/completions", b'{"messages": [' + b"{}," * (MB * 333_333) + b"1]}"),
}


def measure(service: Service, name: str) -> dict[str, Value]:
    path, body = BODIES[name]
    process, over = psutil.Process(service.process.pid), threading.Event()
    took, memory = [0.0], [process.memory_info().rss]

    def watch() -> None:
        with httpx.Client(base_url=service.url, timeout=60) as client:
            while not over.is_set():
                began = time.perf_counter()
                client.get("/livez")
                took.append(1000 * (time.perf_counter() - began))
                memory.append(process.memory_info().rss)
                time.sleep(0.002)

    watching = threading.Thread(target=watch)
    watching.start()
    headers = {"Content-Type": "application/json"}
    with httpx.Client(base_url=service.url, timeout=120, headers=headers) as client:
        answers = [client.post(path, content=body).status_code for _ in range(TIMES)]
    over.set()
    watching.join()
    return {
        "body": name,
        "MB": round(len(body) / 1e6, 1),
        "answer": answers[0],
        "/livez max ms": round(max(took), 1),
        "MiB more": round((max(memory) - memory[0]) / 2**20, 1),
    }


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        ScriptedService(Path(folder) / "log") as service,
    ):
        rows = [measure(service, name) for name in BODIES]
    worst = max(float(row["/livez max ms"] or 0) for row in rows)
    report("large_json", f"{TIMES} of each", rows, livez_max_ms=worst)


if __name__ == "__main__":
    main()
