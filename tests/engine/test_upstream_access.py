"""How an upstream is reached: its address, the service's key, and who gets to know either."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import httpx
import pytest

from app.engine.base import ServedModel
from app.engine.launcher import engine_launcher
from app.engine.start_failures import why
from app.engine.supervisor import Supervisor
from app.engine.tokenizer import ChatTokenizer
from app.engine.upstream import UpstreamEngine
from app.engine.upstream_connection import UpstreamConnection
from app.errors import (
    ConfigurationError,
    InvalidRequest,
    ModelNotStarted,
    ReviewerError,
    UpstreamError,
    UpstreamRefused,
)
from app.settings import Settings, load_settings
from tests.conftest import Serve
from tests.engine.stub import JSON, SSE, Upstream, piece, stream
from tests.engine.test_engines import ASK, complete
from tests.jobs.api import code_of, get, post, review_of
from tests.upstream import KEY, ReviewUpstream
from tests.waiting import wait_for

PASSWORD = "pass-word"  # noqa: S105  # of nobody
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
WRITTEN = (200, SSE, stream(piece("a", "stop"), "[DONE]"))


def settings_for(url: str, **more: Any) -> Settings:
    return Settings(engine="upstream", upstream_url=url, upstream_tokenizer="smollm2", **more)


@pytest.fixture
def engine(stub: Upstream, tokenizer: ChatTokenizer) -> UpstreamEngine:
    """As it is launched, but with a tokenizer that is loaded already; its first answer is good."""
    stub.next_answers.append(WRITTEN)
    url = stub.url.replace("://", f"://ann:{PASSWORD}@") + "?key=secret-key"
    connection = UpstreamConnection(settings_for(url), check_s=0)
    return UpstreamEngine(connection, ServedModel("smollm2", 8192, 512), tokenizer)


def refused(status: int, message: str, code: str | None = None) -> tuple[int, str, bytes]:
    return status, JSON, json.dumps({"error": {"message": message, "code": code}}).encode()


@pytest.mark.anyio
async def test_a_query_goes_along_with_every_request(stub: Upstream) -> None:
    stub.answer = WRITTEN
    engine = await engine_launcher(settings_for(f"{stub.url}/?api-version=1&key=a%2Fb"))()
    await complete(engine, ASK)
    await engine.close()
    assert engine.model.version == f"upstream {stub.url}/"
    assert stub.paths == [
        "/v1/models?api-version=1&key=a%2Fb",
        "/v1/chat/completions?api-version=1&key=a%2Fb",
    ]


def test_a_query_goes_along_with_chats(
    stub: Upstream, engine: UpstreamEngine, serve: Serve
) -> None:
    client = serve(engine, Settings())
    stub.answer = (200, JSON, b"{}")
    assert client.post("/v1/chat/completions?user=x", json=HELLO).status_code == 400
    assert client.post("/v1/chat/completions", json=HELLO).json() == {}
    assert set(stub.paths) == {"/v1/models?key=secret-key", "/v1/chat/completions?key=secret-key"}


def test_of_the_upstreams_models_only_the_served_one_is_listed(
    stub: Upstream, engine: UpstreamEngine, serve: Serve
) -> None:
    """A chat with another one is refused too."""
    models = {"data": [{"id": "another"}, {"id": "smollm2"}]}
    stub.models = (200, JSON, json.dumps(models).encode())
    client = serve(engine, Settings())
    (listed,) = client.get("/v1/models").json()["data"]
    assert (listed["id"], listed["max_model_len"]) == ("smollm2", 8192)
    chat = client.post("/v1/chat/completions", json={**HELLO, "model": "another"})
    assert (chat.status_code, chat.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.anyio
async def test_nobody_is_told_how_the_upstream_is_reached(stub: Upstream) -> None:
    url = stub.url.replace("://", f"://ann:{PASSWORD}@") + "?key=secret-key"
    engine = await engine_launcher(settings_for(url))()
    assert engine.model.version == f"upstream {stub.url}"
    await engine.close()


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"UPSTREAM_URL": f"http://ann:{PASSWORD}@gpu/v1"}, "upstream_url has a user"),
        ({"UPSTREAM_API_KEY": "sk-first\nsk-second"}, "UPSTREAM_API_KEY: .*characters"),
        ({"UPSTREAM_API_KEY": "sk-“first”"}, "UPSTREAM_API_KEY: .*characters"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], told: str
) -> None:
    asked = {"ENGINE": "upstream", "UPSTREAM_URL": "http://gpu/v1", "UPSTREAM_API_KEY": "sk-first"}
    for name, value in (asked | environment).items():
        monkeypatch.setenv(f"REVIEWER_{name}", value)
    with pytest.raises(ConfigurationError, match=told) as failed:
        load_settings()
    assert not any(secret in str(failed.value) for secret in (PASSWORD, "sk-"))


@pytest.mark.anyio
async def test_a_key_is_sent_without_the_line_break_of_its_file(stub: Upstream) -> None:
    settings = settings_for(stub.url, upstream_api_key="sk-1\n")
    stub.answer = WRITTEN
    engine = await engine_launcher(settings)()
    await complete(engine, ASK)
    await engine.close()
    assert set(stub.authorized) == {"Bearer sk-1"}


@pytest.mark.anyio
async def test_a_refused_key_is_no_clients_fault_and_told_to_none(
    stub: Upstream, engine: UpstreamEngine
) -> None:
    stub.next_answers.clear()
    stub.answer = refused(401, f"Incorrect API key provided: {KEY}.", "invalid_api_key")
    with pytest.raises(UpstreamRefused) as failed:
        async with aclosing(engine.generate(ASK)) as deltas:
            await anext(deltas)
    assert failed.value.status == 503
    assert KEY not in str(failed.value.envelope())
    assert "service's key" in await engine.died()
    await engine.close()


@pytest.mark.anyio
@pytest.mark.parametrize("status", [401, 403])
async def test_an_upstream_that_lists_its_models_but_refuses_the_key(
    stub: Upstream, status: int
) -> None:
    stub.answer = refused(status, f"Incorrect API key provided: {KEY}.")
    supervisor = Supervisor(engine_launcher(settings_for(stub.url)))
    await supervisor.start()
    with pytest.raises(ModelNotStarted) as failed:
        await supervisor.ready()
    await supervisor.stop()
    assert failed.value.code == "upstream_refused"
    assert "REVIEWER_UPSTREAM_API_KEY" in failed.value.message
    assert KEY not in failed.value.message


SECRETS = (KEY, PASSWORD, "secret-key", "hf_abcdefgh", "10.0.0.7")
WORDS = (
    f"Incorrect API key: {KEY}; sk-proj-********6789; Bearer hf_abcdefgh; "
    f"http://ann:{PASSWORD}@host?key=secret-key"
)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (refused(400, f"temperature is too high. {WORDS}", "range"), InvalidRequest, "too high"),
        (refused(403, f"blocked for 10.0.0.7 {WORDS}"), UpstreamError, "The upstream answers 403."),
        (
            refused(404, f"nothing at 10.0.0.7 {WORDS}", "model_not_found"),
            UpstreamError,
            r"The upstream answers 404 \(model_not_found\)\.",
        ),
        (refused(500, f"10.0.0.7 {WORDS}", WORDS), UpstreamError, "The upstream answers 500."),
        (refused(500, "odd", KEY), UpstreamError, "The upstream answers 500."),
    ],
)
async def test_an_upstreams_words_reach_a_client_where_they_are_about_its_request(
    stub: Upstream,
    engine: UpstreamEngine,
    answer: tuple[int, str, bytes],
    error: type[ReviewerError],
    told: str,
) -> None:
    stub.next_answers.clear()
    stub.answer = answer
    with pytest.raises(error, match=told) as failed:
        async with aclosing(engine.generate(ASK)) as deltas:
            await anext(deltas)
    await engine.close()
    assert not any(secret in str(failed.value.envelope()) for secret in SECRETS)
    assert "6789" not in str(failed.value)


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (refused(400, f"temperature is too high. {WORDS}", "range"), 400, "range"),
        (refused(401, WORDS), 503, "upstream_refused"),
        (refused(403, f"10.0.0.7 {WORDS}"), 502, "upstream_error"),
        (refused(500, f"10.0.0.7 {WORDS}"), 502, "upstream_error"),
        ((502, "text/html", b"<h1>10.0.0.7"), 502, "upstream_error"),
        ((503, JSON, b"{}"), 503, "engine_unavailable"),
        (refused(429, "slower", "rate"), 429, "rate"),
    ],
)
def test_nor_do_they_in_a_chat_that_is_passed_through(
    stub: Upstream,
    engine: UpstreamEngine,
    serve: Serve,
    answer: tuple[int, str, bytes],
    status: int,
    code: str,
) -> None:
    client = serve(engine, Settings())
    stub.answer = answer
    response = client.post("/v1/chat/completions", json=HELLO)
    assert code_of(response, status) == code
    assert not any(secret in response.text for secret in SECRETS)


def test_a_chat_can_reach_no_other_model_of_the_upstreams(
    stub: Upstream, engine: UpstreamEngine, serve: Serve
) -> None:
    client = serve(engine, Settings())
    stub.answer = (200, JSON, b"{}")
    response = client.post("/v1/chat/completions", json={**HELLO, "model": "a-dear-one"})
    assert code_of(response, 404) == "model_not_found"
    for model in ("smollm2", None):
        response = client.post("/v1/chat/completions", json={**HELLO, "model": model})
        assert response.json() == {}


def test_a_key_that_is_revoked_costs_no_review(serve: Serve, capfd: Any) -> None:
    """Accepted while it is refused, made once it is not; readiness and log say why."""
    with ReviewUpstream() as other:
        url = other.settings["REVIEWER_UPSTREAM_URL"]
        client = serve(None, settings_for(url, upstream_api_key=KEY))
        other.fault = "key refused"
        accepted = review_of(post(client, background=True), 202)
        wait_for(lambda: client.get("/readyz").status_code == 503)
        wait_for(lambda: _reason(client) == "upstream_refused")
        assert get(client, accepted["id"])["status"] == "queued"
        other.fault = None
        wait_for(lambda: get(client, accepted["id"])["status"] == "completed")
    assert KEY not in capfd.readouterr().err


def _reason(client: httpx.Client) -> str:
    error: dict[str, str] = client.get("/readyz").json().get("error", {})
    return error.get("code", "")


def test_its_start_says_what_to_look_at() -> None:
    assert why(UpstreamError("The upstream answers 404.")).code == "upstream_refused"
    assert why(UpstreamError("The upstream answers 500.")).code == "upstream_unreachable"
