"""The service on a GPU, with a model of the published shape and papers of the published lengths.

    python -m benchmarks.gpu [--tiny] [--mode MODE] [--phases NAMES] [--seconds N] [--out FILE]

The model is Gemma 4 E4B's text part with random weights and Gemma's 262,144 tokens, in vLLM in this
process with the published settings; the service uses a real socket, and its clients run in another
process. A random model uses the whole budget of each section, so every structured review has about
700 tokens. Each phase has a time limit and prints its table and a line of JSON, or its error; the
last line has all results as JSON.

MODE is how the engine is started: `compiled` (vLLM's default), `graphs` (CUDA graphs without
compiling) or `eager`; if one fails, the next of these is used. The phase `serve` starts
`vllm serve` afterwards, in the same mode, and sends it the same chats. `--tiny` is a small model
that two CPU cores run in a minute or two; its figures are meaningless.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table
from transformers import AutoConfig

from app import __version__
from app.engine.launcher import runs_on_cpu
from app.engine.tokenizer import ChatTokenizer
from app.review.structure import review_structure
from app.review.templates import published
from benchmarks.gpu import clients, raw
from benchmarks.gpu.engines import MODES, running, vllm_serve
from benchmarks.gpu.floor import Ceilings, Cost, ceilings
from benchmarks.gpu.memory import memory
from benchmarks.gpu.papers import Papers
from benchmarks.gpu.phases import PHASES, Bench, Phase, Row, summary
from benchmarks.gpu.shape import E4B, TINY, Shape, model_folder

_GIB = 2**30
SERVE = "serve"


class Report:
    """Prints what each phase found as it ends, and keeps it."""

    def __init__(self, out: Path | None) -> None:
        self.phases: dict[str, list[Row]] = {}
        self.errors: dict[str, str] = {}
        self._out = out
        self._began = time.perf_counter()

    def say(self, text: str) -> None:
        print(f"[{time.perf_counter() - self._began:6.1f} s] {text}", flush=True)

    def rows(self, phase: str, rows: list[Row]) -> None:
        self.phases[phase] = rows
        columns = list(dict.fromkeys(name for row in rows for name in row))
        table = Table(*columns, title=phase)
        for row in rows:
            table.add_row(*(str(row.get(name, "")) for name in columns))
        Console(width=180).print(table)
        print(json.dumps({"phase": phase, "rows": rows}), flush=True)
        self._write()

    def failed(self, phase: str, error: BaseException) -> None:
        self.errors[phase] = f"{type(error).__name__}: {error}"
        self.say(f"phase {phase} failed: {self.errors[phase]}")
        traceback.print_exception(error, limit=-4)
        self._write()

    def whole(self) -> str:
        return json.dumps(
            {
                "benchmark": "gpu",
                "version": __version__,
                "phases": self.phases,
                "errors": self.errors,
            }
        )

    def _write(self) -> None:
        if self._out:
            self._out.write_text(self.whole() + "\n", encoding="utf-8")


class Run:
    """One invocation."""

    def __init__(self, asked: argparse.Namespace, folder: Path, pool: Executor) -> None:
        self.shape: Shape = TINY if asked.tiny else E4B
        self.mode = "eager" if runs_on_cpu() else asked.mode
        self.vllm_args: str = asked.vllm_args
        self.names: list[str] = asked.phases.split(",") if asked.phases else [*PHASES, SERVE]
        self.pool = pool
        self.folder = model_folder(self.shape, folder / "model")
        self.config = AutoConfig.from_pretrained(self.folder)
        self.tokenizer = ChatTokenizer.load(self.folder)
        self.papers = Papers(self.shape, self.tokenizer)
        self.report = Report(asked.out)
        self.ends: float = time.perf_counter() + asked.seconds

    def left(self) -> float:
        return max(self.ends - time.perf_counter(), 0.0)

    async def all(self) -> None:
        cost = Cost.of(self.config)
        ceiling = await self._ceilings(cost)
        engine_phases = [name for name in self.names if name != SERVE]
        if engine_phases:
            try:
                async with running(
                    self.shape, self.folder, self.mode, self.vllm_args, self.report.say
                ) as engine:
                    self.mode = engine.mode
                    start: Row = {"mode": engine.mode, "start s": round(engine.start_s, 1)}
                    self.report.rows("start", [{**start, **await memory(engine.engine.llm)}])
                    bench = Bench(
                        self.shape, self.papers, cost, ceiling, self.pool, engine, self.left
                    )
                    await self._warm_up(bench)
                    for name in engine_phases:
                        await self._phase(name, PHASES[name], bench)
            except Exception as error:  # noqa: BLE001  # "serve" may do all the same
                self.report.failed("engine", error)
        if SERVE in self.names and self.left() > 1:
            try:
                await self._serve()
            except Exception as error:  # noqa: BLE001
                self.report.failed(SERVE, error)
        print(self.report.whole(), flush=True)

    async def _ceilings(self, cost: Cost) -> Ceilings | None:
        """In a process of its own, which gives the device's memory back."""
        spawn = multiprocessing.get_context("spawn")
        loop = asyncio.get_running_loop()
        try:
            with ProcessPoolExecutor(1, mp_context=spawn) as own:
                found = await loop.run_in_executor(own, ceilings)
        except Exception as error:  # noqa: BLE001
            self.report.failed("ceilings", error)
            return None
        prompt = (self.shape.shortest + self.shape.longest) // 2
        row: Row = {
            "matmul TFLOP/s": round(found.flops / 1e12, 1),
            "copy GB/s": round(found.bytes / 1e9, 1),
            "multiplied, 10^9": round(cost.multiplied / 1e9, 3),
            "weights GiB": round(cost.weights_bytes / _GIB, 2),
            "KV GiB a prompt": round(cost.kv_bytes(prompt) / _GIB, 4),
            "TFLOP a prompt": round(cost.reading_flops(prompt) / 1e12, 2),
        }
        for at_once in (1, 4, 16):
            reading, writing = cost.seconds_a_review(
                found, prompt, self.shape.review_tokens, at_once
            )
            row[f"floor s/review at {at_once}"] = round(reading + writing, 3)
        self.report.rows("ceilings", [row])
        return found

    async def _warm_up(self, bench: Bench) -> None:
        try:
            load = await bench.review("warm-up", self.shape.at_once, self.shape.at_once)
            self.report.rows("warm-up", [summary(load)])
        except Exception as error:  # noqa: BLE001
            self.report.failed("warm-up", error)

    async def _phase(self, name: str, phase: Phase, bench: Bench) -> None:
        if self.left() < 1:
            self.report.failed(name, TimeoutError("no time was left"))
            return
        try:
            async with asyncio.timeout(self.left() + 10):
                self.report.rows(name, await phase(bench))
        except Exception as error:  # noqa: BLE001  # the next phase may do all the same
            self.report.failed(name, error)

    async def _serve(self) -> None:
        """The same chats to ``vllm serve``, so many at a time."""
        shape = self.shape
        bodies = [
            {
                "model": "reviewer",
                "messages": [asdict(message) for message in self.papers.messages(request)],
                "max_tokens": shape.review_tokens,
                "temperature": raw.TEMPERATURE,
                "top_p": raw.TOP_P,
                "top_k": raw.TOP_K,
                "response_format": review_structure(
                    self.tokenizer, published(), shape.review_tokens
                ),
            }
            for request in self.papers.requests(SERVE, 3 * shape.at_once)
        ]
        log = self.folder.with_name("serve.log")
        loop = asyncio.get_running_loop()
        async with vllm_serve(shape, self.folder, self.mode, self.vllm_args, log) as (url, start_s):
            route = "/v1/chat/completions"
            for part in (bodies[: shape.at_once], bodies[shape.at_once :]):
                work = partial(clients.send, url, route, part, shape.at_once, self.left())
                load = await loop.run_in_executor(self.pool, work)
                load.check()
        row = summary(load, through="vllm serve")
        row["start s"] = round(start_s, 1)
        row["reviews of it"] = self._of_serve(load.tokens_s)
        self.report.rows(SERVE, [row])

    def _of_serve(self, tokens_s: float) -> float | None:
        """The service's tokens a second with as many at a time, over those."""
        own = [float(row["tokens/s"] or 0) for row in self.report.phases.get("direct", [])[1::2]]
        return round(sum(own) / len(own) / tokens_s, 3) if own else None


def _asked(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--tiny", action="store_true", help="a small shape, to rehearse on a CPU")
    parser.add_argument("--mode", choices=list(MODES), default="compiled")
    parser.add_argument("--phases", help=f"of {','.join([*PHASES, SERVE])}; by default all")
    parser.add_argument("--seconds", type=float, default=900, help="for everything together")
    parser.add_argument("--vllm-args", default="", help="more of vLLM's own arguments")
    parser.add_argument("--out", type=Path, help="a file for the JSON, renewed by each phase")
    asked = parser.parse_args(words)
    unknown = set((asked.phases or SERVE).split(",")) - {*PHASES, SERVE}
    if unknown:
        parser.error(f"no phases: {', '.join(sorted(unknown))}")
    return asked


def main() -> None:
    asked = _asked()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    # Lets the engine's process be asked for its memory; see benchmarks.gpu.memory.
    os.environ["VLLM_ALLOW_INSECURE_SERIALIZATION"] = "1"
    spawn = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(4, mp_context=spawn) as pool,
    ):
        asyncio.run(Run(asked, Path(folder), pool).all())


if __name__ == "__main__":
    main()
