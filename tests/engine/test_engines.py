"""vLLM in this process and the same model upstream: the same requests, the same assertions.

The upstream is our own service in a second process.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace

import anyio
import httpx
import pytest

from app.engine.base import Delta, Engine, Generation, Message, NextTokenQuery, OpenAIServer, Usage
from app.engine.launcher import engine_launcher
from app.errors import EngineOverloaded, InvalidRequest
from app.review.labels import verdict_labels
from app.review.parse import parse_review
from app.review.structure import Constraint, review_structure
from app.review.template import VERDICT_LEAD, Template
from app.review.templates import own_templates, published
from app.settings import Settings
from tests.conftest import MODEL
from tests.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group(MODEL)]

MOST = len(own_templates())
"""Requests that the engine in this process takes at the same time."""
ASK = Generation(
    request_id="test",
    messages=published().messages(
        "Counting", "We count.", "# Introduction\n\nWe count tokens, once. " * 20
    ),
    max_tokens=16,
    temperature=0.0,
    top_p=1.0,
)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=["vllm", "upstream"])
async def engine(request: pytest.FixtureRequest) -> AsyncGenerator[Engine, None]:
    if request.param == "upstream":
        service: Service = request.getfixturevalue("service")
        settings = Settings(engine="upstream", upstream_url=f"{service.url}/v1")
    else:
        settings = Settings(model="smollm2", cpu_kv_cache_gib=0.5, max_queued_requests=MOST)
    engine = await engine_launcher(settings)()
    yield engine
    await engine.close()


async def complete(engine: Engine, request: Generation) -> tuple[str, Delta]:
    async with aclosing(engine.generate(request)) as deltas:
        parts = [delta async for delta in deltas]
    return "".join(part.text for part in parts), parts[-1]


def usage_of(delta: Delta) -> Usage:
    assert delta.usage
    return delta.usage


async def test_it_knows_its_model(engine: Engine) -> None:
    assert engine.model.name == "smollm2"
    assert engine.model.max_model_len == 8192
    assert "worth nothing" in engine.model.notice
    assert (engine.model.max_tokens, engine.model.max_prompt_tokens) == (512, 4096)


async def test_a_completion_comes_in_pieces_and_says_how_it_ended(engine: Engine) -> None:
    async with aclosing(engine.generate(ASK)) as deltas:
        parts = [delta async for delta in deltas]
    assert len(parts) > 3
    assert all(part.finish_reason is None for part in parts[:-1])
    assert parts[-1].finish_reason == "length"
    prompt = len(engine.tokenizer.encode(engine.tokenizer.render(ASK.messages)))
    assert parts[-1].usage == Usage(prompt, 16, usage_of(parts[-1]).cached)


async def test_greedy_is_the_same_again_and_read_from_the_cache(engine: Engine) -> None:
    first, _ = await complete(engine, ASK)
    again, last = await complete(engine, replace(ASK, request_id="test-again"))
    assert again == first
    assert usage_of(last).cached > 0.8 * usage_of(last).prompt


async def test_a_prefix_is_found_again_with_the_same_salt_only(engine: Engine) -> None:
    assert isinstance(engine, OpenAIServer)
    assert engine.takes_cache_salt

    async def cached(salt: str | None, number: int) -> int:
        request = replace(ASK, request_id=f"salt-{salt}-{number}", cache_salt=salt, max_tokens=1)
        _, last = await complete(engine, request)
        return usage_of(last).cached

    await cached(None, 0)
    assert await cached(None, 1) > 0
    for salt in ("alice's", "bob's"):
        assert await cached(salt, 2) == 0
        assert await cached(salt, 3) > 0
        read = NextTokenQuery(f"read-{salt}", ASK.messages, "I", (1, 2), cache_salt=salt)
        assert (await engine.next_token_logprobs(read)).usage.cached > 0
    read = NextTokenQuery("read", ASK.messages, "I", (1, 2), cache_salt="nobody's")
    assert (await engine.next_token_logprobs(read)).usage.cached == 0


async def test_several_completions_of_one_prompt(engine: Engine) -> None:
    request = replace(ASK, request_id="three", n=3, temperature=1.0)
    texts = ["", "", ""]
    finished: list[int] = []
    async with aclosing(engine.generate(request)) as deltas:
        async for delta in deltas:
            texts[delta.index] += delta.text
            if delta.finish_reason:
                finished.append(delta.index)
    assert sorted(finished) == [0, 1, 2]
    assert len(set(texts)) > 1
    prompt = len(engine.tokenizer.encode(engine.tokenizer.render(ASK.messages)))
    usage = usage_of(delta)
    assert (usage.prompt, usage.completion) == (prompt, 48)
    assert usage.cached <= prompt


async def test_the_structure_holds_at_any_temperature(engine: Engine) -> None:
    structure = review_structure(engine.tokenizer, published(), 256)
    wild = replace(ASK, request_id="wild", max_tokens=256, temperature=1.5, structure=structure)
    text, last = await complete(engine, wild)
    parsed = parse_review(text, published().sections)
    assert last.finish_reason == "stop"
    assert parsed.decision in ("accept", "reject")
    assert parsed.verdict_at is not None


@pytest.mark.parametrize("engine", ["vllm"], indirect=True)
async def test_each_template_holds_beside_the_others(engine: Engine) -> None:
    """All at the same time in one engine: what a grammar allows depends on no other."""

    async def holds(template: Template) -> None:
        structure = review_structure(engine.tokenizer, template, 400)
        messages = template.messages("Counting", "We count.", "# Introduction\n\nWe count tokens.")
        request = replace(ASK, request_id=template.name, messages=messages, max_tokens=400)
        text, last = await complete(engine, replace(request, temperature=0.8, structure=structure))
        parsed = parse_review(text, template.sections, Constraint({}, engine.tokenizer))
        assert last.finish_reason == "stop"
        assert parsed.decision in ("accept", "reject")
        assert set(parsed.prose) | set(parsed.points) == {s.field for s in template.sections}

    async with asyncio.TaskGroup() as tasks:
        for template in own_templates().values():
            tasks.create_task(holds(template), name=template.name)


async def test_of_one_likeliest_token_there_is_no_choice(engine: Engine) -> None:
    """``top_k`` reaches the sampler, whose temperature would have it otherwise."""
    greedy, _ = await complete(engine, ASK)
    hot = replace(ASK, request_id="hot", temperature=1.9, top_k=1)
    assert (await complete(engine, hot))[0] == greedy


async def test_a_repetition_penalty_reaches_the_sampler(engine: Engine) -> None:
    """Among the likeliest tokens the penalty takes others than without it."""
    greedy, _ = await complete(engine, ASK)
    varied = replace(ASK, request_id="varied", repetition_penalty=2.0)
    assert (await complete(engine, varied))[0] != greedy


async def test_labels_are_read_with_their_masses(engine: Engine) -> None:
    labels = verdict_labels(engine.tokenizer)
    ids = (labels.accept[0], labels.reject[0])
    prefix = f"## Final Recommendation\n{VERDICT_LEAD}"
    found = await engine.next_token_logprobs(NextTokenQuery("labels", ASK.messages, prefix, ids))
    assert set(found.by_token) == set(ids)
    assert 0 < sum(math.exp(logprob) for logprob in found.by_token.values()) <= 1.001
    prompt = engine.tokenizer.encode(engine.tokenizer.render(ASK.messages, prefix))
    assert found.usage == Usage(len(prompt), 1, found.usage.cached)


async def test_the_label_read_is_the_models_next_token(engine: Engine) -> None:
    """Greedy decoding from the same prefix agrees with the likelier of two tokens."""
    text, _ = await complete(engine, replace(ASK, max_tokens=12))
    ids = engine.tokenizer.encode(text)
    prefix = text[: text.rindex(" ")]
    following = engine.tokenizer.encode(text[len(prefix) :])[0]
    other = next(token for token in ids if token != following)
    found = await engine.next_token_logprobs(
        NextTokenQuery("next", ASK.messages, prefix, (following, other))
    )
    assert found.by_token[following] > found.by_token[other]


async def test_a_seed_is_refused_by_the_cpu_engine(engine: Engine) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await complete(engine, replace(ASK, seed=1, temperature=1.0))
    assert refused.value.code == "seed_unsupported"
    assert await complete(engine, ASK)


async def test_a_prompt_longer_than_the_context_is_refused(engine: Engine) -> None:
    endless = replace(ASK, messages=(Message("user", "word " * 9000),))
    with pytest.raises(InvalidRequest):
        await complete(engine, endless)


async def test_several_at_once(engine: Engine) -> None:
    texts: dict[int, str] = {}

    async def one(number: int) -> None:
        request = replace(ASK, request_id=f"several-{number}")
        texts[number], _ = await complete(engine, request)

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(one, number)
    assert len(set(texts.values())) == 1


async def test_more_than_the_queue_holds_is_refused_at_once(engine: Engine) -> None:
    if engine.metrics() == b"":
        pytest.skip("the upstream has a queue of its own")
    long = replace(ASK, max_tokens=4000, temperature=1.5)
    async with contextlib.AsyncExitStack() as stack:
        requests = [replace(long, request_id=f"queued-{number}") for number in range(MOST)]
        writing = [
            await stack.enter_async_context(aclosing(engine.generate(one))) for one in requests
        ]
        # All at once: were one begun after the other, the first might have ended.
        await asyncio.gather(*map(anext, writing))
        with pytest.raises(EngineOverloaded):
            await complete(engine, ASK)
    assert await complete(engine, ASK)


async def test_closing_the_iterator_aborts_the_request(engine: Engine, service: Service) -> None:
    long = replace(ASK, request_id="long", max_tokens=4000, temperature=1.5)
    async with aclosing(engine.generate(long)) as deltas:
        await anext(deltas)
    async with httpx.AsyncClient(base_url=service.url) as client:
        await eventually(lambda: idle(engine, client))


async def idle(engine: Engine, client: httpx.AsyncClient) -> bool:
    page = engine.metrics() or (await client.get("/metrics")).content
    running = re.search(rb"^vllm:num_requests_running\{.*\} (\S+)$", page, re.MULTILINE)
    assert running
    return float(running[1]) == 0


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    with anyio.fail_after(1):
        while not await condition():
            await anyio.sleep(0.02)
