"""Servers behind us that are down, refuse, or answer something else: real ones, on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from app.engine.base import LabelRead, Message, ServedModel
from app.engine.launcher import engine_launcher
from app.engine.upstream import UpstreamEngine
from app.errors import (
    ConfigurationError,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    ReviewerError,
    UpstreamError,
)
from app.settings import Settings
from tests.engine.test_engines import ASK, complete
from tests.service import free_port

pytestmark = pytest.mark.anyio


class Stub(BaseHTTPRequestHandler):
    """Answers every chat with ``answer``: status, content type, body; None hangs up."""

    answer: ClassVar[tuple[int, str, bytes] | None]
    asked: ClassVar[list[dict[str, Any]]]
    owner: ClassVar[str | None] = None

    def do_GET(self) -> None:
        card = {"id": "smollm2"} | ({"owned_by": self.owner} if self.owner else {})
        self._send(200, "application/json", json.dumps({"data": [card]}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.asked.append(json.loads(body))
        if self.answer is None:
            self.close_connection = True
            return
        self._send(*self.answer)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@pytest.fixture
def stub() -> Iterator[tuple[type[Stub], str]]:
    class Fresh(Stub):
        answer = None
        asked: ClassVar[list[dict[str, Any]]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Fresh) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Fresh, f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()
        thread.join()


def upstream(url: str, **more: Any) -> Settings:
    return Settings(engine="upstream", upstream_url=url, **more)


def stream(*chunks: str) -> bytes:
    return "".join(f"data: {chunk}\n\n" for chunk in chunks).encode()


JSON, SSE = "application/json", "text/event-stream"


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (None, EngineUnavailable, "engine_unavailable"),
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
        ((200, SSE, b"data: [DONE]\n\n"), EngineUnavailable, "engine_unavailable"),
        (
            (200, SSE, stream('{"choices": [{"delta": {"content": "half"}}]}')),
            EngineUnavailable,
            "engine_unavailable",
        ),
        (
            (200, SSE, stream('{"error": {"message": "engine died"}}')),
            EngineUnavailable,
            "engine_unavailable",
        ),
    ],
)
async def test_each_failure_has_its_own_error(
    stub: tuple[type[Stub], str],
    answer: tuple[int, str, bytes] | None,
    error: type[ReviewerError],
    code: str,
) -> None:
    handler, url = stub
    handler.answer = answer
    engine = await engine_launcher(upstream(url))()
    try:
        with pytest.raises(error) as raised:
            await complete(engine, ASK)
        assert raised.value.code == code
        assert type(raised.value) is error
    finally:
        await engine.close()


async def test_labels_among_the_likeliest_are_found_by_their_text(
    stub: tuple[type[Stub], str],
) -> None:
    """A server that does not know vLLM's extensions names tokens by their text."""
    handler, url = stub
    top = [{"token": " ACC", "logprob": -0.5}, {"token": " The", "logprob": -1.5}]
    position = {"token": " ACC", "logprob": -0.5, "top_logprobs": top}
    answer = {"choices": [{"logprobs": {"content": [position]}}]}
    handler.answer = (200, JSON, json.dumps(answer).encode())
    engine = await engine_launcher(upstream(url))()
    read = LabelRead(
        "labels", (Message("user", "x"),), "I recommend this paper for", (34198, 12710)
    )
    assert (await engine.read_labels(read)).of == {34198: -0.5}
    await engine.close()
    assert handler.asked[0]["messages"][-1] == {
        "role": "assistant",
        "content": "I recommend this paper for",
    }


async def test_a_server_that_is_down(free: int) -> None:
    with pytest.raises(EngineUnavailable, match="does not answer"):
        await engine_launcher(upstream(f"http://127.0.0.1:{free}/v1"))()


@pytest.fixture
def free() -> int:
    return free_port()


async def test_a_model_that_it_does_not_have(stub: tuple[type[Stub], str]) -> None:
    with pytest.raises(EngineError, match="no model 'gpt-4'; it has: smollm2"):
        await engine_launcher(upstream(stub[1], model="gpt-4"))()


async def test_a_tokenizer_that_is_nowhere(stub: tuple[type[Stub], str]) -> None:
    with pytest.raises(ConfigurationError):
        await engine_launcher(upstream(stub[1], upstream_tokenizer="/no/such/folder"))()


@pytest.mark.parametrize(("owner", "sent"), [("vllm", "secret"), ("openai", None), (None, None)])
async def test_a_cache_salt_goes_to_vllm_and_to_nobody_else(
    stub: tuple[type[Stub], str], owner: str | None, sent: str | None
) -> None:
    """Other servers refuse what they don't know, or would log it."""
    handler, url = stub
    handler.owner = owner
    handler.answer = (400, JSON, b'{"error": {"message": "no"}}')
    engine = await engine_launcher(upstream(url))()
    read = LabelRead("labels", ASK.messages, "I", (1, 2), cache_salt="secret")
    for ask in (complete(engine, replace(ASK, cache_salt="secret")), engine.read_labels(read)):
        with pytest.raises(InvalidRequest):
            await ask
    await engine.close()
    assert engine.takes_cache_salt == (owner == "vllm")
    assert [asked.get("cache_salt") for asked in handler.asked] == [sent, sent]


async def test_the_key_is_sent(stub: tuple[type[Stub], str]) -> None:
    handler, url = stub
    handler.answer = (401, JSON, b'{"error": {"message": "bad key"}}')
    settings = upstream(url, upstream_api_key="sk-1")
    engine = await engine_launcher(settings)()
    assert isinstance(engine, UpstreamEngine)
    assert engine.model == ServedModel(
        "smollm2",
        settings.max_model_len,
        512,
        4096,
        for_trial=True,
        version=f"upstream {url}",
    )
    with pytest.raises(UpstreamError, match="401: bad key"):
        async with aclosing(engine.generate(ASK)) as deltas:
            await anext(deltas)
    await engine.close()
