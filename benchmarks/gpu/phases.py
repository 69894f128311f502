"""The phases of the benchmark with one running engine."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from app.engine.base import NextTokenQuery
from app.review.labels import verdict_labels
from app.review.structure import review_structure
from app.review.templates import published
from app.review.verdict import up_to_the_verdict
from benchmarks.gpu import clients, raw
from benchmarks.gpu.clients import Body, Load
from benchmarks.gpu.engines import Running
from benchmarks.gpu.floor import Ceilings, Cost
from benchmarks.gpu.papers import Papers, as_pdf
from benchmarks.gpu.shape import Shape
from benchmarks.report import Value

Row = dict[str, Value]
REVIEWS = "/v1/reviews"


@dataclass(frozen=True)
class Bench:
    """What the phases share."""

    shape: Shape
    papers: Papers
    cost: Cost
    ceilings: Ceilings | None
    clients: Executor
    running: Running
    within_s: Callable[[], float]
    """Seconds that are left to the phase."""

    async def ask(self, url: str, route: str, bodies: Sequence[Body], at_once: int) -> Load:
        """In the clients' process.

        Raises:
            RuntimeError: nothing good came back in time.
        """
        work = partial(clients.send, url, route, bodies, at_once, self.within_s())
        load = await asyncio.get_running_loop().run_in_executor(self.clients, work)
        load.check()
        return load

    async def review(self, phase: str, count: int, at_once: int, /, **parameters: object) -> Load:
        """Reviews of new papers by ``POST /v1/reviews``."""
        given = {"max_tokens": self.shape.review_tokens, **parameters}
        bodies = [{**body, **given} for body in self.papers.requests(phase, count)]
        return await self.ask(self.running.url, REVIEWS, bodies, at_once)

    @property
    def structure(self) -> dict[str, Any]:
        return review_structure(
            self.running.engine.tokenizer, published(), self.shape.review_tokens
        )


Phase = Callable[[Bench], Awaitable[list[Row]]]


def summary(load: Load, **named: Value) -> Row:
    """A load's figures; where not all came in time, of what did."""
    return {
        **named,
        "reviews": len(load.good),
        "failed": len(load.answers) - len(load.good),
        "all": load.is_whole,
        "reviews/s": round(len(load.good) / load.seconds, 3),
        "s/review": round(load.seconds / len(load.good), 3),
        "s alone": round(statistics.median(answer.seconds for answer in load.good), 2),
        "tokens/s": round(load.tokens_s, 1),
        "prompt": round(statistics.median(answer.prompt for answer in load.good)),
        "written": round(statistics.mean(answer.written for answer in load.good), 1),
    }


async def levels(bench: Bench) -> list[Row]:
    """Reviews at several levels of concurrency, with the minimum time of each."""
    rows = []
    for at_once, count in bench.shape.levels.items():
        if bench.within_s() < 1:
            break
        load = await bench.review(f"levels-{at_once}", count, at_once)
        row = summary(load, at_once=at_once)
        held = sum(answer.constrained is True for answer in load.good)
        rows.append({**row, "held": held, **_floor(bench, row, at_once)})
    return rows


def _floor(bench: Bench, row: Row, at_once: int) -> Row:
    if bench.ceilings is None:
        return {}
    side_by_side = min(at_once, 16)
    prompt, written = round(float(row["prompt"] or 0)), round(float(row["written"] or 0))
    reading, writing = bench.cost.seconds_a_review(bench.ceilings, prompt, written, side_by_side)
    share = (reading + writing) / float(row["s/review"] or 1)
    return {
        "floor read": round(reading, 3),
        "floor write": round(writing, 3),
        "of floor": round(share, 3),
    }


async def streamed(bench: Bench) -> list[Row]:
    """Time to the first text and between its pieces, as a client of the stream sees them."""
    rows = []
    for at_once in sorted({1, bench.shape.at_once}):
        load = await bench.review(f"stream-{at_once}", max(2, at_once), at_once, stream=True)
        rows.append({**summary(load, at_once=at_once), **_latencies(load)})
    return rows


def _latencies(load: Load) -> Row:
    firsts = sorted(answer.first_s for answer in load.good if answer.first_s is not None)
    gaps = sorted(load.gaps_ms)
    return {
        "first s p50": round(statistics.median(firsts), 3) if firsts else None,
        "first s max": round(firsts[-1], 3) if firsts else None,
        "gap ms p50": round(statistics.median(gaps), 2) if gaps else None,
        "gap ms p99": round(gaps[int(0.99 * len(gaps))], 2) if gaps else None,
    }


async def directly(bench: Bench) -> list[Row]:
    """The service beside ``AsyncLLM.generate`` of the same engine, by turns."""
    shape = bench.shape
    count = 2 * shape.at_once
    rows: list[Row] = []
    ratios: list[float] = []
    for number in range(shape.rounds):
        name = f"direct-{number}"
        prompts = [
            await asyncio.to_thread(bench.papers.prompt, request)
            for request in bench.papers.requests(f"raw-{number}", count)
        ]
        bare = await raw.generate(
            bench.running.engine.llm,
            prompts,
            bench.structure,
            shape.review_tokens,
            shape.at_once,
            bench.within_s(),
        )
        bare.check()
        served = await bench.review(name, count, shape.at_once)
        ratios.append(served.tokens_s / bare.tokens_s)
        rows.append({**summary(bare, through="AsyncLLM.generate"), **_latencies(bare)})
        rows.append(summary(served, through=REVIEWS))
        rows[-1]["of raw"] = round(ratios[-1], 3)
    return rows


async def free(bench: Bench) -> list[Row]:
    """Structured reviews beside free ones, by turns."""
    count = 2 * bench.shape.at_once
    rows, tokens_s = [], {}
    for kind in ("structured", "free"):
        load = await bench.review(f"format-{kind}", count, bench.shape.at_once, format=kind)
        tokens_s[kind] = load.tokens_s
        rows.append(summary(load, format=kind))
    rows[0]["of free"] = round(tokens_s["structured"] / tokens_s["free"], 3)
    return rows


async def samples(bench: Bench) -> list[Row]:
    """Five samples beside one, alone on the engine; then what the verdict's reading takes."""
    rows = []
    for number in (1, 5):
        load = await bench.review(f"samples-{number}", 2, 1, samples=number)
        rows.append(summary(load, samples=number))
    ratio = float(rows[1]["s/review"] or 0) / float(rows[0]["s/review"] or 1)
    rows[1]["of one"] = round(ratio, 2)
    return rows


async def verdict(bench: Bench) -> list[Row]:
    """The time for reading the labels as a share of the review's time, alone and in parallel.

    In parallel, the engine's time for all readings together is used, since in the service they are
    interleaved with the steps of other reviews.
    """
    rows = []
    for at_once in sorted({1, bench.shape.at_once}):
        phase = f"verdict-{at_once}"
        load = await bench.review(phase, at_once, at_once)
        requests = bench.papers.requests(phase, at_once)
        seconds = await _labels_read(bench, requests)
        share = seconds / load.seconds
        rows.append(
            {
                **summary(load, at_once=at_once),
                "reading ms": round(1000 * seconds, 1),
                "of the review": round(share, 4),
            }
        )
    return rows


async def _labels_read(bench: Bench, requests: Sequence[Body]) -> float:
    """Seconds for the readings of all, the prompts being in the prefix cache."""
    engine = bench.running.engine
    labels = verdict_labels(engine.tokenizer)
    tokens = (labels.accept[0], labels.reject[0])
    prefix = up_to_the_verdict("## Summary\nIt counts.", None)
    asked = [
        NextTokenQuery(f"labels-{at}-{id(requests)}", bench.papers.messages(body), prefix, tokens)
        for at, body in enumerate(requests)
    ]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.gather(*(engine.next_token_logprobs(one) for one in asked))
    return loop.time() - began


async def cache(bench: Bench) -> list[Row]:
    """A paper, and the same again: the prompt comes from the prefix cache."""
    rows = []
    for time_ in ("first", "again"):
        load = await bench.review("cache", 2, 1)
        cached = sum(answer.cached for answer in load.good)
        prompt = sum(answer.prompt for answer in load.good)
        rows.append({**summary(load, time=time_), "cached": round(cached / prompt, 3)})
    return rows


async def pdfs(bench: Bench) -> list[Row]:
    """PDFs of the same length, which the service reads first, beside texts."""
    count = bench.shape.at_once
    texts = await bench.review("texts", count, count)
    loop = asyncio.get_running_loop()
    requests = bench.papers.requests("pdfs", count)
    made = [loop.run_in_executor(bench.clients, as_pdf, request) for request in requests]
    given = {"max_tokens": bench.shape.review_tokens, "reuse": False}
    bodies = [{"pdf": pdf, **given} for pdf in await asyncio.gather(*made)]
    read = await bench.ask(bench.running.url, REVIEWS, bodies, count)
    return [summary(texts, paper="text"), summary(read, paper="PDF")]


PHASES: dict[str, Phase] = {
    "levels": levels,
    "direct": directly,
    "stream": streamed,
    "verdict": verdict,
    "samples": samples,
    "free": free,
    "cache": cache,
    "pdf": pdfs,
}
