"""Starts the engine in one of its modes, or in a slower one if that fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from app.engine.launcher import engine_launcher, runs_on_cpu
from app.main import create_app
from benchmarks.gpu.shape import Shape, settings_for
from benchmarks.overhead import serving
from tests.service import free_port

if TYPE_CHECKING:
    from app.engine.vllm import VllmEngine

_GRAPHS = {"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY"}
MODES = {
    "compiled": "",
    "graphs": f"--compilation-config '{json.dumps(_GRAPHS)}'",
    "eager": "",
}
"""What vLLM does by default (compiles, and keeps CUDA graphs); graphs alone; neither. Each with the
arguments that it takes, and the quickest first."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Running:
    """An engine and the service around it."""

    mode: str
    url: str
    engine: VllmEngine
    start_s: float


@asynccontextmanager
async def running(
    shape: Shape, folder: Path, mode: str, vllm_args: str, say: Say
) -> AsyncGenerator[Running, None]:
    """The service on an engine of this mode, or of the first after it that starts.

    Raises:
        RuntimeError: none of them does.
    """
    for tried in list(MODES)[list(MODES).index(mode) :]:
        settings = settings_for(
            shape, folder, f"{MODES[tried]} {vllm_args}", eager=tried == "eager"
        )
        began = time.perf_counter()
        try:
            async with asyncio.timeout(shape.start_s):
                engine: Any = await engine_launcher(settings)()
        except Exception as error:  # noqa: BLE001  # whatever it is, the next mode may do
            say(f"the engine does not start {tried}: {type(error).__name__}: {error}")
            _end_children()
            continue
        start_s = time.perf_counter() - began
        try:
            async with serving(create_app(settings, engine)) as url:
                yield Running(tried, url, engine, start_s)
        finally:
            await engine.close()
            _end_children()
        return
    raise RuntimeError("the engine starts in no mode")


def _end_children() -> None:
    """End processes of an engine that failed, which would keep the GPU's memory."""
    children = [
        child
        for child in psutil.Process().children(recursive=True)
        if "VLLM" in child.name() or "VLLM" in " ".join(child.cmdline())
    ]
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(children, timeout=20)


@asynccontextmanager
async def vllm_serve(
    shape: Shape, folder: Path, mode: str, vllm_args: str, log: Path
) -> AsyncGenerator[tuple[str, float], None]:
    """vLLM's own server with the published settings, and the seconds that it took to start.

    Raises:
        RuntimeError: it does not start.
    """
    port = free_port()
    words = _serve_words(shape, folder, mode, vllm_args, port)
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: ASYNC220  # it only begins here
            [sys.executable, "-m", "vllm.entrypoints.cli.main", *words],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    began = time.perf_counter()
    try:
        await _until_healthy(url, process, began + shape.start_s, log)
        yield url, time.perf_counter() - began
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, 20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def _serve_words(shape: Shape, folder: Path, mode: str, vllm_args: str, port: int) -> Iterator[str]:
    yield from ("serve", str(folder), "--served-model-name", "reviewer")
    yield from ("--host", "127.0.0.1", "--port", str(port), "--load-format", "dummy")
    yield from ("--dtype", "bfloat16", "--max-model-len", str(shape.max_model_len))
    yield from ("--max-num-seqs", "16", "--gpu-memory-utilization", "0.88")
    yield from ("--enable-prefix-caching", "--language-model-only")
    yield from ("--structured-outputs-config", '{"backend": "xgrammar"}')
    if mode == "eager":
        yield "--enforce-eager"
    if runs_on_cpu():
        yield from ("--kv-cache-memory-bytes", str(2**29), "--block-size", "32")
    yield from shlex.split(f"{MODES[mode]} {vllm_args}")


async def _until_healthy(
    url: str, process: subprocess.Popen[bytes], ends: float, log: Path
) -> None:
    async with httpx.AsyncClient(base_url=url) as client:
        while process.poll() is None and time.perf_counter() < ends:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/health")).status_code == httpx.codes.OK:
                    return
            await asyncio.sleep(0.2)
    said = await asyncio.to_thread(log.read_text, errors="replace")
    raise RuntimeError("vllm serve does not start:\n" + "\n".join(said.splitlines()[-15:]))
