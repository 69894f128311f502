"""The same request twice: idempotency keys, and reviews of the same paper."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from httpx_sse import connect_sse

from app.settings import Settings
from tests.conftest import Serve
from tests.jobs.api import (
    PDF,
    TEXT,
    code_of,
    gated,
    get,
    post,
    post_pdf,
    review_of,
    scripted,
    waiting_clients,
)
from tests.leaving import leaving
from tests.waiting import wait_for


def test_the_same_key_is_answered_the_same(serve: Serve, settings: Settings) -> None:
    engine = scripted()
    client = serve(engine, settings)
    first = post(client, "k", reuse=False)
    again = post(client, "k", reuse=False)
    assert review_of(again) == review_of(first)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert code_of(post(client, "k", reuse=False, samples=2), 409) == "idempotency_key_mismatch"
    assert review_of(post(client, "other", reuse=False))["id"] != first.json()["id"]
    assert len(engine.generations) == 2
    assert code_of(post(client, "k" * 256), 400) == "invalid_value"


def test_the_same_key_joins_what_is_being_made(serve: Serve, either: Settings) -> None:
    engine = gated()
    client = serve(engine, either)
    with ThreadPoolExecutor(3) as threads:
        waiting = [threads.submit(post, client, "k") for _ in range(3)]
        wait_for(lambda: waiting_clients(client) == 3 and bool(engine.generations))
        engine.gate.set()
        one, *others = (review_of(one.result()) for one in waiting)
    assert others == [one, one]
    assert len(engine.generations) == 1


def test_the_first_client_may_leave_as_long_as_another_one_waits(
    serve: Serve, settings: Settings
) -> None:
    engine = gated()
    client = serve(engine, settings)
    asked, key = {**TEXT, "stream": True}, {"Idempotency-Key": "k"}
    with (
        leaving(client, asked, **key) as leave,
        connect_sse(client, "POST", "/v1/reviews", json=asked, headers=key) as source,
    ):
        wait_for(lambda: waiting_clients(client) == 2)
        told = source.iter_sse()
        assert next(told).event == "review.created"
        leave()
        wait_for(lambda: waiting_clients(client) == 1)
        engine.gate.set()
        assert list(told)[-1].event == "review.completed"
    assert len(engine.generations) == 1
    assert engine.aborted == 0


def test_a_key_of_a_background_review(serve: Serve, settings: Settings) -> None:
    engine = gated()
    client = serve(engine, settings)
    first = review_of(post(client, "k", background=True), 202)
    assert post(client, "k", background=True).json()["id"] == first["id"]
    engine.gate.set()
    done = get(client, first["id"], wait=20)
    assert review_of(post(client, "k", background=True)) == done
    assert len(engine.generations) == 1


def test_the_same_paper_is_answered_from_the_store(serve: Serve, settings: Settings) -> None:
    engine = scripted()
    client = serve(engine, settings)
    first = review_of(post_pdf(client))
    again = review_of(post_pdf(client))
    assert again == {**first, "reused": True}
    assert review_of(post_pdf(client, background="true")) == again
    assert get(client, first["id"])["reused"] is False
    others = [("reuse", "false"), ("template", "acl"), ("temperature", "0.9"), ("blind", "0")]
    for name, value in others:
        assert review_of(post_pdf(client, PDF, **{name: value}))["id"] != first["id"]
    assert review_of(post(client))["id"] == review_of(post(client))["id"]
    assert len(engine.generations) == 6


def test_a_key_and_a_stored_review(serve: Serve, settings: Settings) -> None:
    engine = scripted()
    client = serve(engine, settings)
    first = review_of(post(client))
    reused = review_of(post(client, "k"))
    assert reused == {**first, "reused": True}
    assert code_of(post(client, "k", samples=2), 409) == "idempotency_key_mismatch"
    assert review_of(post(client, "k"))["id"] == first["id"]
    assert len(engine.generations) == 1
