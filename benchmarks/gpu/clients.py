"""Clients of the service and of ``vllm serve``, which run in a separate process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx

Body = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """One answer: seconds since the request, and tokens."""

    seconds: float
    prompt: int = 0
    cached: int = 0
    written: int = 0
    constrained: bool | None = None
    first_s: float | None = None
    """Until the first of its text; None where it came in one piece."""
    judging_s: float | None = None
    """From the last of its text to its verdict."""
    error: str | None = None


@dataclass
class Load:
    """The answers to requests that were sent with a fixed concurrency."""

    at_once: int
    seconds: float = 0.0
    answers: list[Answer] = field(default_factory=list)
    gaps_ms: list[float] = field(default_factory=list)
    """Between one piece of a text and the next."""
    is_whole: bool = False
    """Whether all were answered within the time."""

    @property
    def good(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.error is None]

    @property
    def tokens_s(self) -> float:
        return sum(answer.written for answer in self.good) / self.seconds

    def check(self) -> None:
        """
        Raises:
            RuntimeError: there is no good answer.
        """
        if not self.good:
            errors = sorted({answer.error for answer in self.answers if answer.error})
            raise RuntimeError(f"no answer in {self.seconds:.0f} s: {', '.join(errors) or 'none'}")


def send(url: str, route: str, bodies: Sequence[Body], at_once: int, within_s: float) -> Load:
    """All of them, ``at_once`` at a time; those that take longer than ``within_s`` are dropped."""
    return asyncio.run(_send(url, route, bodies, at_once, within_s))


async def _send(
    url: str, route: str, bodies: Sequence[Body], at_once: int, within_s: float
) -> Load:
    load = Load(at_once)
    waiting = list(reversed(bodies))
    limits = httpx.Limits(max_connections=None)
    began = time.perf_counter()
    async with httpx.AsyncClient(base_url=url, timeout=within_s, limits=limits) as client:

        async def work() -> None:
            while waiting:
                body = waiting.pop()
                ask = _streamed if body.get("stream") else _whole
                load.answers.append(await ask(client, route, body, load.gaps_ms))

        try:
            async with asyncio.timeout(within_s), asyncio.TaskGroup() as workers:
                for _ in range(at_once):
                    workers.create_task(work())
            load.is_whole = True
        except TimeoutError:
            pass
        load.seconds = time.perf_counter() - began
    return load


async def _whole(client: httpx.AsyncClient, route: str, body: Body, _: list[float]) -> Answer:
    began = time.perf_counter()
    try:
        if "pdf" in body:
            form = {name: str(value) for name, value in body.items() if name != "pdf"}
            file = ("paper.pdf", body["pdf"])
            response = await client.post(route, data=form, files={"file": file})
        else:
            response = await client.post(route, json=body)
    except httpx.HTTPError as error:
        return Answer(time.perf_counter() - began, error=type(error).__name__)
    took = time.perf_counter() - began
    if response.status_code != httpx.codes.OK:
        return Answer(took, error=f"{response.status_code} {response.text[:200]}")
    return _answer(took, response.json())


def _answer(took: float, said: Body) -> Answer:
    usage = said["usage"]
    return Answer(
        took,
        prompt=usage["prompt_tokens"],
        cached=usage.get("cached_tokens", 0),
        written=usage["completion_tokens"],
        constrained=said.get("constrained"),
    )


async def _streamed(
    client: httpx.AsyncClient, route: str, body: Body, gaps_ms: list[float]
) -> Answer:
    """A review's events; see :mod:`app.schemas.events`."""
    began = time.perf_counter()
    pieces: list[float] = []
    decided: float | None = None
    review: Body | None = None
    try:
        async with client.stream("POST", route, json=body) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                event, now = json.loads(line.removeprefix("data: ")), time.perf_counter()
                match event.get("type"):
                    case "review.delta":
                        pieces.append(now)
                    case "review.verdict":
                        decided = now
                    case "review.completed":
                        review = event["review"]
    except httpx.HTTPError as error:
        return Answer(time.perf_counter() - began, error=type(error).__name__)
    took = time.perf_counter() - began
    if review is None or not pieces:
        return Answer(took, error=f"{response.status_code}: the stream ended without a review")
    gaps_ms += [1000 * (after - before) for before, after in pairwise(pieces)]
    whole = _answer(took, review)
    return Answer(
        took,
        prompt=whole.prompt,
        cached=whole.cached,
        written=whole.written,
        constrained=whole.constrained,
        first_s=pieces[0] - began,
        judging_s=decided - pieces[-1] if decided else None,
    )
