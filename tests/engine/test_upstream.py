"""Servers behind us that are down, refuse, or answer something else: real ones, on loopback."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from app.engine.base import NextTokenQuery, OpenAIServer
from app.engine.launcher import engine_launcher
from app.engine.tokenizer import ChatTokenizer
from app.errors import (
    ConfigurationError,
    EngineDied,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    ReviewerError,
    UpstreamError,
)
from tests.engine.stub import (
    CONTINUES,
    JSON,
    MODELS,
    SSE,
    Answer,
    Upstream,
    piece,
    stream,
)
from tests.engine.test_engines import ASK, complete
from tests.engine.upstreams import engine_for, settings_for
from tests.service import free_port

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (None, EngineDied, "engine_died"),
        ((500, JSON, b""), UpstreamError, "upstream_error"),
        ((503, JSON, b'{"error": {"message": "dead"}}'), EngineUnavailable, "engine_unavailable"),
        ((429, JSON, b'{"error": {"message": "slow"}}'), EngineOverloaded, "engine_overloaded"),
        (
            (400, JSON, b'{"error": {"message": "no", "code": "tags", "param": "p"}}'),
            InvalidRequest,
            "tags",
        ),
        ((404, JSON, b'{"error": {"message": "gone"}}'), UpstreamError, "upstream_error"),
        ((200, JSON, b'{"choices": []}'), UpstreamError, "upstream_error"),
        ((200, SSE, b"data: nonsense\n\n"), UpstreamError, "upstream_error"),
        ((200, SSE, b"data: [1]\n\n"), UpstreamError, "upstream_error"),
        ((200, SSE, b"data: [DONE]\n\n"), EngineDied, "engine_died"),
        (
            (200, SSE, stream('{"choices": [{"delta": {"content": "half"}}]}')),
            EngineDied,
            "engine_died",
        ),
        (
            (200, SSE, stream('{"error": {"message": "engine died"}}')),
            UpstreamError,
            "upstream_error",
        ),
        ((503, JSON, b"busy"), EngineUnavailable, "engine_unavailable"),
        ((429, "text/html", b"<p>slow"), EngineOverloaded, "engine_overloaded"),
        ((302, JSON, b""), UpstreamError, "upstream_error"),
        ((400, JSON, b'{"error": "no"}'), UpstreamError, "upstream_error"),
        ((500, JSON, b"[" * 100_000), UpstreamError, "upstream_error"),
        *(
            ((200, SSE, stream(chunk, "[DONE]")), UpstreamError, "upstream_error")
            for chunk in (
                '{"choices": [{"finish_reason": "stop"}]}',
                '{"choices": [{"delta": null}]}',
                '{"choices": [{"delta": {"content": 5}}]}',
                '{"choices": [{"delta": {"content": ["a"]}}]}',
                '{"choices": [{"index": -1, "delta": {"content": "a"}}]}',
                '{"choices": [{"index": 1, "delta": {"content": "a"}}]}',
                '{"choices": [{"index": "0", "delta": {"content": "a"}}]}',
                '{"choices": {"delta": {"content": "a"}}}',
                '{"choices": [], "usage": {"prompt_tokens": "many"}}',
                '{"choices": [], "usage": {"prompt_tokens": -1}}',
                '{"choices": [], "usage": [1]}',
                '"text"',
                "null",
                "[" * 100_000,
                piece("a", "content_filter"),
                piece("a", "error"),
            )
        ),
        ((200, SSE, stream(piece("a", "abort"))), EngineUnavailable, "engine_unavailable"),
    ],
)
async def test_each_failure_has_its_own_error(
    stub: Upstream,
    tokenizer: ChatTokenizer,
    answer: tuple[int, str, bytes] | None,
    error: type[ReviewerError],
    code: str,
) -> None:
    stub.answer = answer
    engine = engine_for(stub, tokenizer)
    try:
        with pytest.raises(error) as raised:
            await complete(engine, ASK)
        assert raised.value.code == code
        assert type(raised.value) is error
    finally:
        await engine.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [null]}',
        b'{"choices": [{"logprobs": []}]}',
        b'{"choices": [{"logprobs": {"content": [{"token": 1, "logprob": -1}]}}]}',
        b'{"choices": [{"logprobs": {"content": [{"token": "a"}]}}]}',
        b'{"choices": [{"logprobs": {"content": [{"token": "a", "logprob": NaN}]}}]}',
        b'{"choices": [{}], "usage": "much"}',
    ],
)
async def test_a_label_read_that_is_none(
    stub: Upstream, tokenizer: ChatTokenizer, answer: bytes
) -> None:
    stub.next_answers.extend(CONTINUES)
    stub.answer = (200, JSON, answer)
    engine = engine_for(stub, tokenizer)
    with pytest.raises(UpstreamError):
        await engine.next_token_logprobs(NextTokenQuery("labels", ASK.messages, "I", (1, 2)))
    await engine.close()


NO_MODELS: list[Answer | None] = [
    None,
    (502, "text/html", b"<h1>Bad Gateway</h1>"),
    (302, JSON, b""),
    *(
        (200, JSON, body)
        for body in (
            b"",
            b"not JSON",
            b"[" * 100_000,
            b"[]",
            b'"models"',
            b"{}",
            b'{"data": null}',
            b'{"data": []}',
            b'{"data": {"id": "smollm2"}}',
            b'{"data": ["smollm2"]}',
            b'{"data": [{"object": "model"}]}',
            b'{"data": [{"id": null}]}',
            b'{"data": [{"id": ""}]}',
            b'{"data": [{"id": 7}, {"id": "smollm2"}]}',
            b'{"data": [{"id": "smollm2", "max_model_len": "long"}]}',
            b'{"data": [{"id": "another"}]}',
        )
    ),
]


@pytest.mark.parametrize("models", NO_MODELS)
async def test_an_upstream_that_does_not_say_what_it_serves(
    stub: Upstream, models: Answer | None
) -> None:
    stub.models = models
    with pytest.raises(EngineError):
        await engine_launcher(settings_for(stub.url, model="smollm2"))()


@pytest.mark.parametrize("models", NO_MODELS)
async def test_it_is_dead_after_three_such_answers_and_not_before(
    stub: Upstream, models: Answer | None, tokenizer: ChatTokenizer
) -> None:
    engine = engine_for(stub, tokenizer)
    stub.next_models.extend([models, models, MODELS] * 3)
    stub.models = models
    assert await engine.died()
    assert stub.looks == 9 + 3
    await engine.close()


async def test_whoever_writes_is_not_dead(stub: Upstream, tokenizer: ChatTokenizer) -> None:
    """Looks fail all the while, as by a proxy that has no way to ``/models``."""
    engine = engine_for(stub, tokenizer)
    stub.models = (502, JSON, b"")

    def chunks() -> Iterator[str]:
        while stub.looks < 20:
            yield piece("a")
            time.sleep(0.001)
        yield piece("", "stop")

    stub.chunks = chunks
    dying = asyncio.create_task(engine.died())
    text, last = await complete(engine, ASK)
    assert set(text) == {"a"}
    assert last.finish_reason == "stop"
    assert not dying.done()
    assert "502" in await dying
    await engine.close()


async def test_what_is_being_written_outlives_a_death(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    """Dead and closed, while a review waits for its next token."""
    goes_on = threading.Event()

    def chunks() -> Iterator[str]:
        yield piece("before")
        goes_on.wait(10)
        yield piece(", after", "stop")

    stub.chunks = chunks
    engine = engine_for(stub, tokenizer)
    async with aclosing(engine.generate(ASK)) as deltas:
        assert (await anext(deltas)).text == "before"
        stub.next_models.extend([None] * 3)
        await engine.died()
        await engine.close()
        goes_on.set()
        assert (await anext(deltas)).text == ", after"
        assert (await anext(deltas)).finish_reason == "stop"
    with pytest.raises(EngineUnavailable, match="is closed"):
        await complete(engine, ASK)


async def test_a_server_that_is_down(free: int) -> None:
    with pytest.raises(EngineUnavailable, match="does not answer"):
        await engine_launcher(settings_for(f"http://127.0.0.1:{free}/v1"))()


@pytest.fixture
def free() -> int:
    return free_port()


async def test_a_model_that_it_does_not_have(stub: Upstream) -> None:
    with pytest.raises(EngineError, match="no model 'gpt-4'; it has: smollm2"):
        await engine_launcher(settings_for(stub.url, model="gpt-4"))()


async def test_a_tokenizer_that_is_nowhere(stub: Upstream) -> None:
    with pytest.raises(ConfigurationError):
        await engine_launcher(settings_for(stub.url, upstream_tokenizer="/no/such/folder"))()


@pytest.mark.parametrize(("owner", "sent"), [("vllm", "secret"), ("openai", None), (None, None)])
async def test_a_cache_salt_goes_to_vllm_and_to_nobody_else(
    stub: Upstream, owner: str | None, sent: str | None
) -> None:
    """Other servers refuse what they don't know, or would log it."""
    card = {"id": "smollm2"} | ({"owned_by": owner} if owner else {})
    stub.models = (200, JSON, json.dumps({"data": [card]}).encode())
    stub.next_answers.extend(CONTINUES if owner != "vllm" else [])
    stub.answer = (400, JSON, b'{"error": {"message": "no"}}')
    engine = await engine_launcher(settings_for(stub.url))()
    read = NextTokenQuery("labels", ASK.messages, "I", (1, 2), cache_salt="secret")
    for ask in (
        engine.next_token_logprobs(read),
        complete(engine, replace(ASK, cache_salt="secret")),
    ):
        with pytest.raises(InvalidRequest):
            await ask
    await engine.close()
    assert isinstance(engine, OpenAIServer)
    assert engine.takes_cache_salt == (owner == "vllm")
    assert {asked.get("cache_salt") for asked in stub.asked} == {sent}


@pytest.mark.parametrize(("top_k", "sent"), [(None, None), (64, 64), (0, -1)])
async def test_top_k_is_sent_where_there_is_one(
    stub: Upstream, tokenizer: ChatTokenizer, top_k: int | None, sent: int | None
) -> None:
    stub.answer = (200, SSE, stream(piece("a", "stop"), "[DONE]"))
    engine = engine_for(stub, tokenizer)
    await complete(engine, replace(ASK, top_k=top_k))
    await engine.close()
    assert stub.asked[0].get("top_k") == sent


@pytest.mark.parametrize(("penalty", "sent"), [(None, None), (1.1, 1.1)])
async def test_a_repetition_penalty_is_sent_where_there_is_one(
    stub: Upstream, tokenizer: ChatTokenizer, penalty: float | None, sent: float | None
) -> None:
    stub.answer = (200, SSE, stream(piece("a", "stop"), "[DONE]"))
    engine = engine_for(stub, tokenizer)
    await complete(engine, replace(ASK, repetition_penalty=penalty))
    await engine.close()
    assert stub.asked[0].get("repetition_penalty") == sent


async def test_the_tokenizers_place_says_how_the_model_is_sampled(
    stub: Upstream, model_folder: Path, tmp_path: Path
) -> None:
    """No weights lie there, nor are they asked for."""
    folder = tmp_path / "tokenizer"
    shutil.copytree(model_folder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    own = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**own, "top_k": 64}))
    engine = await engine_launcher(settings_for(stub.url, upstream_tokenizer=str(folder)))()
    assert engine.model.sampling.top_k == 64
    await engine.close()
