"""The real service around the engine double, in a process of its own that can be killed.

python -m tests.scripted PORT DELAY_S: each of a review's lines takes so long.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import uvicorn

from app.engine.models import SMOLLM2, locate
from app.engine.tokenizer import ChatTokenizer
from app.main import create_app
from app.settings import Settings
from tests.doubles import ScriptedEngine
from tests.service import free_port

STARTS_WITHIN_S = 120


class ScriptedService:
    """A context manager. It keeps its port over restarts."""

    def __init__(self, log: Path, delay_s: float = 0.0) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log
        self._delay_s = delay_s
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.scripted", str(self.port), str(self._delay_s)],
                env={**os.environ, "REVIEWER_DATA_DIR": str(self._log.with_name("data"))},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        ends = time.monotonic() + STARTS_WITHIN_S
        while wait and not self._is_ready():
            assert time.monotonic() < ends, self._log.read_text()
            assert self._process.poll() is None, self._log.read_text()
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/readyz").status_code == httpx.codes.OK
        return False

    def end(self, how: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def __enter__(self) -> ScriptedService:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.end(signal.SIGTERM)


def main(port: int, delay_s: float) -> None:
    settings = Settings()
    tokenizer = ChatTokenizer.load(locate(SMOLLM2, settings.cache_dir))
    engine = ScriptedEngine(
        tokenizer, logprobs=[(-0.1, -2.5), (-2.0, -0.2), (-0.7, -0.7)] * 1000, delay_s=delay_s
    )
    uvicorn.run(create_app(settings, engine), port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
