"""Overhead of the gateway: the engine used directly, and through the two HTTP routes.

    python -m benchmarks.overhead

One process has the engine and serves the application; the HTTP clients run in a second one. Each
round sends 16 prompts of about 1,500 tokens, 8 at a time, 64 new tokens each, to every variant in
turn. All prompts are different, so none profits from the prefix cache. The order of the variants
changes from round to round, so that changes of the machine's speed affect all of them.

The latency that the gateway adds is measured with an engine double that answers at once: it
consists of HTTP, validation, counting tokens, packing and parsing.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from fastapi import FastAPI

from app.engine.base import Engine, Message
from app.engine.launcher import engine_launcher
from app.engine.tokenizer import ChatTokenizer
from app.main import create_app
from app.paper.text import paper_from_text
from app.review.packing import pack
from app.review.templates import published
from app.settings import Settings
from benchmarks.report import report
from tests.doubles import ScriptedEngine
from tests.service import free_port

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

    from app.engine.vllm import VllmEngine

PROMPTS, AT_ONCE, NEW_TOKENS, ROUNDS = 16, 8, 64, 5
PROMPT_TOKENS = 1500
LATENCY_REQUESTS = 200

Body = dict[str, Any]
Ask = Callable[[Any], Awaitable[int]]
"""Sends one prepared request; returns the tokens that were written."""


def bodies(tokenizer: ChatTokenizer, count: int, generator: random.Random) -> list[str]:
    """Distinct texts that make prompts of PROMPT_TOKENS, give or take one word."""
    syllables = ["ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "zo"]
    texts: list[str] = []
    for _ in range(count):
        words: list[str] = []
        length = 0
        while length < PROMPT_TOKENS:
            words += ["".join(generator.choices(syllables, k=3)) for _ in range(20)]
            prompt = pack(paper_from_text("T", "A", " ".join(words)), tokenizer, 10**6, published())
            length = prompt.tokens
        texts.append(" ".join(words))
    return texts


def chat_of(tokenizer: ChatTokenizer, text: str) -> tuple[Message, ...]:
    return pack(paper_from_text("T", "A", text), tokenizer, 10**6, published()).messages


async def directly(llm: AsyncLLM, prompt_ids: list[int]) -> int:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    written = 0
    sampling = SamplingParams(
        max_tokens=NEW_TOKENS,
        temperature=0.2,
        top_p=0.9,
        output_kind=RequestOutputKind.DELTA,
    )
    request_id = f"direct-{time.monotonic_ns()}"
    async for output in llm.generate({"prompt_token_ids": prompt_ids}, sampling, request_id):
        written += len(output.outputs[0].token_ids)
    return written


async def over_http(client: httpx.AsyncClient, route: str, body: Body) -> int:
    response = await client.post(route, json=body)
    return int(response.raise_for_status().json()["usage"]["completion_tokens"])


def requests_for(route: str, tokenizer: ChatTokenizer, texts: list[str]) -> list[Body]:
    if route == "/v1/reviews":
        return [review_request(text) for text in texts]
    sampling = {"temperature": 0.2, "top_p": 0.9, "max_tokens": NEW_TOKENS}
    return [
        {"model": "smollm2", "messages": [asdict(m) for m in chat_of(tokenizer, text)], **sampling}
        for text in texts
    ]


def review_request(text: str) -> Body:
    asked = {"title": "T", "abstract": "A", "body": text}
    return {**asked, "format": "free", "max_tokens": NEW_TOKENS, "reuse": False}


async def throughput(ask: Ask, requests: Sequence[Any]) -> float:
    """Tokens per second over all requests, AT_ONCE at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(request: Any) -> int:
        async with gate:
            return await ask(request)

    started = time.perf_counter()
    written = await asyncio.gather(*(one(request) for request in requests))
    return sum(written) / (time.perf_counter() - started)


async def _throughput_over_http(url: str, route: str, requests: list[Body]) -> float:
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        return await throughput(partial(over_http, client, route), requests)


def throughput_over_http(url: str, route: str, requests: list[Body]) -> float:
    """In the client's process."""
    return asyncio.run(_throughput_over_http(url, route, requests))


def latencies_over_http(url: str, texts: list[str]) -> list[float]:
    """In the client's process: milliseconds of each request, one after another."""
    took: list[float] = []
    with httpx.Client(base_url=url, timeout=60) as client:
        for text in texts:
            started = time.perf_counter()
            client.post("/v1/reviews", json=review_request(text)).raise_for_status()
            took.append(1000 * (time.perf_counter() - started))
    return took


@contextlib.asynccontextmanager
async def serving_with(engine: Engine) -> AsyncGenerator[str, None]:
    """The service around an engine, with a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(create_app(Settings(data_dir=Path(folder)), engine)) as url:
            yield url


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncGenerator[str, None]:
    """The application on loopback, in this event loop; the engine is ready when it begins."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
    task = asyncio.create_task(server.serve())
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient() as client:
        ready = False
        while not ready:
            await asyncio.sleep(0.1)
            with contextlib.suppress(httpx.TransportError):
                ready = (await client.get(f"{url}/readyz")).status_code == httpx.codes.OK
    try:
        yield url
    finally:
        server.should_exit = True
        await task


async def main() -> None:
    engine: VllmEngine = await engine_launcher(Settings(model="smollm2"))()  # type: ignore[assignment]
    tokenizer = engine.tokenizer
    generator = random.Random(0)  # noqa: S311
    loop = asyncio.get_running_loop()
    spawn = multiprocessing.get_context("spawn")
    rates: dict[str, list[float]] = {"direct": [], "/v1/reviews": [], "/v1/chat/completions": []}
    with ProcessPoolExecutor(1, mp_context=spawn) as clients:

        async def measure(variant: str, texts: list[str], url: str) -> float:
            if variant == "direct":
                prompts = [
                    tokenizer.encode(tokenizer.render(chat_of(tokenizer, text))) for text in texts
                ]
                return await throughput(partial(directly, engine.llm), prompts)
            requests = requests_for(variant, tokenizer, texts)
            return await loop.run_in_executor(clients, throughput_over_http, url, variant, requests)

        async with serving_with(engine) as url:
            for variant in rates:  # warms up
                await measure(variant, bodies(tokenizer, 2, generator), url)
            for _ in range(ROUNDS):
                for variant in generator.sample(list(rates), len(rates)):
                    texts = bodies(tokenizer, PROMPTS, generator)
                    rates[variant].append(await measure(variant, texts, url))
        async with serving_with(ScriptedEngine(tokenizer)) as url:
            texts = bodies(tokenizer, LATENCY_REQUESTS, generator)
            took = await loop.run_in_executor(clients, latencies_over_http, url, texts)
    ratios = {
        variant: statistics.median(
            rate / direct for rate, direct in zip(rates[variant], rates["direct"], strict=True)
        )
        for variant in rates
    }
    report(
        "overhead",
        f"{PROMPTS} prompts of {PROMPT_TOKENS} tokens, {NEW_TOKENS} new, {AT_ONCE} at a time, "
        f"{ROUNDS} rounds",
        [
            {
                "variant": variant,
                "tokens/s (median)": round(statistics.median(rates[variant]), 1),
                "of direct": round(ratios[variant], 3),
            }
            for variant in rates
        ],
        ratio_reviews=round(ratios["/v1/reviews"], 3),
        ratio_chat=round(ratios["/v1/chat/completions"], 3),
        added_ms_p50=round(statistics.median(took), 2),
        added_ms_p99=round(sorted(took)[int(0.99 * len(took))], 2),
    )


if __name__ == "__main__":
    asyncio.run(main())
