"""Delay of a streamed section's first words from the engine to the client.

    python -m benchmarks.stream_delay [REVIEWS]

The service runs the default CPU model in a wrapper that records when the engine returns each piece
of text. A client in a thread of the same process reads the events over a real socket. Measured for
each section: the time from the piece with its first word to its first `review.delta`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import httpx
from httpx_sse import connect_sse

from app.engine.base import Delta, Engine, Generation, NextTokenLogprobs, NextTokenQuery
from app.engine.launcher import engine_launcher
from app.settings import Settings
from benchmarks.overhead import serving_with
from benchmarks.report import report
from tests.papers import paper_html, typeset


class WatchedEngine:
    """Implements :class:`app.engine.base.Engine` by another; notes when which text came."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.model, self.tokenizer = engine.model, engine.tokenizer
        self.came: list[tuple[float, str]] = []

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        async with aclosing(self._engine.generate(request)) as deltas:
            async for delta in deltas:
                self.came.append((time.perf_counter(), delta.text))
                yield delta

    async def next_token_logprobs(self, request: NextTokenQuery) -> NextTokenLogprobs:
        return await self._engine.next_token_logprobs(request)

    def metrics(self) -> bytes:
        return self._engine.metrics()

    async def died(self) -> str:
        return await self._engine.died()

    async def responds(self) -> None:
        await self._engine.responds()

    async def close(self) -> None:
        await self._engine.close()

    def came_at(self, position: int) -> float:
        """When the character at this place of the text came."""
        length = 0
        for when, text in self.came:
            length += len(text)
            if length > position:
                return when
        raise ValueError(position)


def first_deltas(url: str, pdf: bytes) -> tuple[dict[str, float], dict[str, Any]]:
    """When each section's first words came, and the review."""
    first: dict[str, float] = {}
    asked: dict[str, Any] = {"files": {"file": ("p.pdf", pdf)}, "data": {"stream": "true"}}
    with (
        httpx.Client(base_url=url, timeout=600) as client,
        connect_sse(client, "POST", "/v1/reviews", **asked) as source,
    ):
        for event in source.iter_sse():
            now = time.perf_counter()
            told = event.json()
            if told["type"] == "review.delta" and told["text"].strip(" -\n"):
                first.setdefault(told["section"], now)
            if told["type"] == "review.completed":
                return first, told["review"]
    raise AssertionError("the stream ended without a review")


def beginnings(review: dict[str, Any]) -> dict[str, int]:
    """Where each section's first word stands in the review's text."""
    found: dict[str, int] = {}
    text, at = review["text"], 0
    for section, value in review["review"].items():
        if section != "other":
            word = (value if isinstance(value, str) else value[0]["text"]).split()[0]
            at = found[section] = text.index(word, text.index("\n", text.index("## ", at)))
    return found


async def main() -> None:
    reviews = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    engine = WatchedEngine(await engine_launcher(Settings(model="smollm2"))())
    delays: list[tuple[str, float]] = []
    async with serving_with(engine) as url:
        for number in range(reviews):
            engine.came.clear()
            pdf = typeset(paper_html(f"Streamed Paper {number}"))
            first, review = await asyncio.to_thread(first_deltas, url, pdf)
            for section, position in beginnings(review).items():
                delays.append((section, 1000 * (first[section] - engine.came_at(position))))
    every = sorted(delay for _, delay in delays)
    report(
        "stream_delay",
        f"{reviews} reviews, embedded model",
        [
            {
                "section": section,
                "median ms": round(
                    statistics.median(d for name, d in delays if name == section), 2
                ),
                "longest ms": round(max(d for name, d in delays if name == section), 2),
            }
            for section in dict(delays)
        ],
        median_ms=round(statistics.median(every), 2),
        longest_ms=round(every[-1], 2),
    )


if __name__ == "__main__":
    asyncio.run(main())
