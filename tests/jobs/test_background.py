"""Background reviews: made without a client that waits."""

from __future__ import annotations

import socket
from pathlib import Path

from app.api.schemas.review import Review
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW
from tests.jobs.api import (
    PDF,
    TEXT,
    code_of,
    events,
    gated,
    get,
    papers,
    post,
    post_pdf,
    review_of,
    scripted,
)
from tests.test_auth import ALICE, BOB, KEYS, bearer
from tests.waiting import wait_for


def test_a_background_review(serve: Serve, settings: Settings) -> None:
    engine = gated()
    client = serve(engine, settings)
    accepted = review_of(post(client, background=True), 202)
    assert accepted["status"] in ("queued", "in_progress")
    assert accepted["background"]
    assert accepted["text"] is accepted["verdict"] is accepted["error"] is None
    engine.gate.set()
    done = get(client, accepted["id"], wait=20)
    assert done["status"] == "completed"
    assert done["text"] == WHOLE_REVIEW
    assert done["created"] == accepted["created"]
    assert get(client, accepted["id"]) == done
    Review.model_validate(done)


def test_a_background_review_of_a_pdf(serve: Serve, either: Settings, data_dir: Path) -> None:
    client = serve(scripted(), either)
    accepted = review_of(post_pdf(client, background="true"), 202)
    done = get(client, accepted["id"], wait=20)
    assert done["paper"]["title"] == "Counting Tokens Twice Is Once Too Often"
    (stored,) = papers(data_dir)
    assert stored.read_bytes() == PDF
    assert stored.name == done["paper"]["sha256"]
    assert stored.stat().st_mode & 0o777 == 0o600


def test_waiting_ends_with_the_time_or_the_review(serve: Serve, settings: Settings) -> None:
    engine = gated()
    client = serve(engine, settings)
    review_id = post(client, background=True).json()["id"]
    assert get(client, review_id, wait=0.1)["status"] in ("queued", "in_progress")
    engine.gate.set()
    # Either would time out here if it waited for longer than the review takes.
    assert get(client, review_id, wait=300)["status"] == "completed"
    assert get(client, review_id, wait=300)["status"] == "completed"


def test_no_more_than_the_setting_at_a_time(serve: Serve, either: Settings) -> None:
    engine = scripted(delay_s=0.02)
    client = serve(engine, either.model_copy(update={"background_reviews": 2}))
    ids = [post(client, background=True, reuse=False).json()["id"] for _ in range(6)]

    def states() -> list[str]:
        return [one["status"] for one in client.get("/v1/reviews").json()["data"]]

    def all_are_done() -> bool:
        now = states()
        assert now.count("in_progress") <= 2
        return now == ["completed"] * len(ids)

    wait_for(all_are_done)
    assert len(engine.generations) == 6


def test_a_queue_that_is_full(serve: Serve, settings: Settings) -> None:
    full = settings.model_copy(update={"background_reviews": 0, "max_queued_reviews": 2})
    client = serve(scripted(), full)
    first = review_of(post(client, "k", background=True), 202)
    review_of(post_pdf(client, background="true"), 202)
    refused = post(client, background=True)
    assert code_of(refused, 503) == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1
    # What does not wait in it is not concerned: the same request, and a client that waits itself.
    assert review_of(post(client, "k", background=True), 202)["id"] == first["id"]
    assert review_of(post(client))["status"] == "completed"
    client.delete(f"/v1/reviews/{first['id']}").raise_for_status()
    review_of(post(client, background=True, reuse=False), 202)


def test_a_key_at_its_limit_waits_for_itself_alone(serve: Serve, settings: Settings) -> None:
    limits = {"api_keys": KEYS, "max_reviews_per_key": 1, "background_reviews": 4}
    engine = gated(of="Hers")
    client = serve(engine, settings.model_copy(update=limits))

    def begin(key: str, title: str) -> None:
        asked = {**TEXT, "title": title, "background": True, "reuse": False}
        client.post("/v1/reviews", json=asked, headers=bearer(key)).raise_for_status()

    def states(key: str) -> list[str]:
        listed = client.get("/v1/reviews", params={"order": "asc"}, headers=bearer(key))
        return [one["status"] for one in listed.json()["data"]]

    for _ in range(3):
        begin(ALICE, "Hers")
    begin(BOB, "His")
    wait_for(lambda: states(BOB) == ["completed"])
    assert states(ALICE) == ["in_progress", "queued", "queued"]
    engine.gate.set()

    def hers_are_done() -> bool:
        now = states(ALICE)
        assert now.count("in_progress") <= 1
        return now == ["completed"] * 3

    wait_for(hers_are_done)


def test_a_process_that_only_takes_on(serve: Serve, settings: Settings) -> None:
    taking = serve(scripted(), settings.model_copy(update={"background_reviews": 0}))
    review_id = post(taking, background=True).json()["id"]
    assert get(taking, review_id, wait=0.5)["status"] == "queued"
    making = serve(scripted(), settings)
    # Asked for where it is not made.
    assert get(taking, review_id, wait=20)["status"] == "completed"
    assert get(making, review_id)["text"] == WHOLE_REVIEW


def test_a_failed_background_review_says_why(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(), settings)
    review_id = review_of(post_pdf(client, b"no paper", background="true"), 202)["id"]
    failed = get(client, review_id, wait=20)
    assert failed["status"] == "failed"
    assert failed["error"]["code"] == "not_a_pdf"
    assert [one["type"] for one in events(client, review_id)] == ["review.created", "error"]


def test_a_client_that_hangs_up_while_it_waits(serve: Serve, settings: Settings) -> None:
    """Long polls of clients that are gone cost nothing, and end nothing."""
    engine = gated()
    client = serve(engine, settings)
    review_id = post(client, background=True).json()["id"]
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as raw:
        raw.sendall(f"GET /v1/reviews/{review_id}?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    engine.gate.set()
    assert get(client, review_id, wait=20)["status"] == "completed"
