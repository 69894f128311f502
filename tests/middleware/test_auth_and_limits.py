"""Limits: what is refused, to whom, and that it is refused before it is read."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from app.engine.base import Tokenizer
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import GatedEngine, ScriptedEngine
from tests.leaving import leaving
from tests.test_auth import ALICE, BOB, KEYS, TEXT, bearer
from tests.waiting import wait_for


def refusal(response: httpx.Response) -> tuple[int, str]:
    assert int(response.headers["retry-after"]) >= 1
    return response.status_code, response.json()["error"]["code"]


@contextmanager
def reviews_under_way(
    client: httpx.Client, engine: GatedEngine, count: int, key: str = ALICE
) -> Iterator[None]:
    """So many that are being written, until the end of the block."""

    def review() -> None:
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            own.post("/v1/reviews", json=TEXT, headers=bearer(key)).raise_for_status()

    before = places_taken(client)
    threads = [threading.Thread(target=review) for _ in range(count)]
    for thread in threads:
        thread.start()
    wait_for(lambda: places_taken(client) == before + count)
    yield
    engine.gate.set()
    for thread in threads:
        thread.join()


def places_taken(client: httpx.Client) -> float:
    page = client.get("/metrics", headers=bearer(BOB)).text
    found = re.search(r"^reviewer_places_taken (\S+)$", page, re.MULTILINE)
    assert found
    return float(found[1])


def test_a_key_has_so_many_requests_a_minute(serve: Serve, tokenizer: Tokenizer) -> None:
    settings = Settings(api_keys=KEYS, rate_limit_rpm=60, rate_limit_burst=3)
    client = serve(ScriptedEngine(tokenizer), settings)

    def ask(key: str) -> httpx.Response:
        return client.get("/v1/models", headers=bearer(key))

    answers = [ask(ALICE) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    left = [answer.headers["x-ratelimit-remaining-requests"] for answer in answers]
    assert left == ["2", "1", "0", "0"]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "3"
    assert refusal(answers[-1]) == (429, "rate_limit_exceeded")
    assert answers[-1].json()["error"]["type"] == "rate_limit_error"
    assert answers[-1].headers["retry-after"] == "1"
    assert ask(BOB).status_code == 200
    # A wrong key costs nobody anything, and the metrics are no request of a tenant.
    assert client.get("/v1/models", headers=bearer("x")).status_code == 401
    assert client.get("/metrics", headers=bearer(ALICE)).status_code == 200
    time.sleep(1.05)
    assert [ask(ALICE).status_code for _ in range(2)] == [200, 429]


def test_without_limits_nothing_is_said_of_them(serve: Serve, tokenizer: Tokenizer) -> None:
    client = serve(ScriptedEngine(tokenizer), Settings())
    answers = [client.get("/v1/models") for _ in range(100)]
    assert {answer.status_code for answer in answers} == {200}
    assert not [name for name in answers[0].headers if name.startswith("x-ratelimit")]


def test_a_key_has_so_many_reviews_at_once(serve: Serve, tokenizer: Tokenizer) -> None:
    settings = Settings(api_keys=KEYS, max_reviews_per_key=2)
    engine = GatedEngine(tokenizer)
    client = serve(engine, settings)
    with reviews_under_way(client, engine, 2):
        for path in ("/v1/reviews", "/v1/papers", "/v1/chat/completions"):
            refused = client.post(path, json=TEXT, headers=bearer(ALICE))
            assert refusal(refused) == (429, "rate_limit_exceeded")
        assert client.get("/v1/models", headers=bearer(ALICE)).status_code == 200
        assert client.post("/v1/papers", json={}, headers=bearer(BOB)).status_code == 400
    assert client.post("/v1/reviews", json=TEXT, headers=bearer(ALICE)).status_code == 200


def test_when_all_places_are_taken_a_body_is_not_read(serve: Serve, tokenizer: Tokenizer) -> None:
    settings = Settings(api_keys=KEYS, max_reviews=2)
    engine = GatedEngine(tokenizer)
    client = serve(engine, settings)
    with reviews_under_way(client, engine, 2):
        refused = client.post("/v1/reviews", json=TEXT, headers=bearer(BOB))
        assert refusal(refused) == (503, "overloaded")
        with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
            head = "\r\n".join(f"{name}: {value}" for name, value in bearer(BOB).items())
            connection.sendall(f"POST /v1/reviews HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
            connection.sendall(b"Content-Length: 40000000\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 503 ")
    wait_for(lambda: places_taken(client) == 0)
    assert client.post("/v1/reviews", json=TEXT, headers=bearer(BOB)).status_code == 200


@pytest.mark.parametrize(
    "how", ["a client that leaves", "an error", "a fault", "an error's stream"]
)
def test_a_place_is_given_back(serve: Serve, tokenizer: Tokenizer, how: str) -> None:
    engine = GatedEngine(tokenizer)
    client = serve(engine, Settings(api_keys=KEYS, max_reviews=1))
    match how:
        case "a client that leaves":
            with leaving(client, TEXT, **bearer(ALICE)) as leave:
                wait_for(lambda: bool(engine.generations))
                leave()
        case "an error":
            assert client.post("/v1/reviews", json={}, headers=bearer(ALICE)).status_code == 400
        case "a fault":
            engine.texts = [RuntimeError("it broke")]
            assert client.post("/v1/reviews", json=TEXT, headers=bearer(ALICE)).status_code == 500
        case _:
            engine.texts = [RuntimeError("it broke")]
            asked = {**TEXT, "stream": True}
            streamed = client.post("/v1/reviews", json=asked, headers=bearer(ALICE))
            assert "event: error" in streamed.text
    wait_for(lambda: places_taken(client) == 0)
