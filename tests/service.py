"""The real service as a person starts it: ``reviewer serve`` in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx
import psutil

STARTS_WITHIN_S = 600
"""Not a measure of anything: a service that ends is noticed at once."""
SMALL = {
    # A review in seconds, for tests of everything but its length.
    "REVIEWER_PROMPT_TOKENS": "1024",
    "REVIEWER_MAX_TOKENS": "256",
}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


class Service:
    """A running ``reviewer serve`` with the tests' small model, unless the environment says
    otherwise; a context manager that stops it.
    """

    command: tuple[str | Path, ...] = (Path(sys.executable).with_name("reviewer"), "serve")

    def __init__(self, log: Path, port: int | None = None, /, **environment: str) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("REVIEWER_")
        }
        if environment.get("REVIEWER_ENGINE") != "upstream":
            environment = {"REVIEWER_MODEL": "smollm2", **environment}
        with log.open("a") as output:
            self.process = subprocess.Popen(
                [*self.command, "--port", str(self.port)],
                env={
                    **inherited,
                    "HF_HUB_OFFLINE": "1",
                    "REVIEWER_DATA_DIR": str(log.with_name("data")),
                    **environment,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self, path: str = "/readyz", status: int = 200) -> None:
        """Until ``path`` answers with ``status``."""
        ends = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < ends:
            if self.process.poll() is not None:
                raise AssertionError(f"the service ended:\n{self.log.read_text()}")
            try:
                if httpx.get(self.url + path).status_code == status:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"no {status} from {path}:\n{self.log.read_text()}")

    def engine_processes(self) -> list[psutil.Process]:
        """vLLM's engine and worker, not the processes that read PDFs."""
        return [
            child
            for child in psutil.Process(self.process.pid).children(recursive=True)
            if "VLLM" in child.name() or "VLLM" in " ".join(child.cmdline())
        ]

    def stop(self) -> None:
        """As an operator would; does nothing where the process has ended already."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def __enter__(self) -> Service:
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class ScriptedService(Service):
    """The same with the engine of :mod:`tests.scripted`: up in a second, and told what to say."""

    command = (sys.executable, "-m", "tests.scripted")


def end_of(service: Service) -> int:
    """The exit status; vLLM's import takes minutes where the machine is busy."""
    try:
        return service.process.wait(2 * STARTS_WITHIN_S)
    finally:
        service.process.kill()
