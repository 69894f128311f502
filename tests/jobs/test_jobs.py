"""Reviews that last, over HTTP: the real application around an engine double."""

from __future__ import annotations

import csv
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse
from pydantic import SecretStr

from app.errors import EngineDied
from app.schemas.review import Review, ReviewResource
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW, GatedEngine, ScriptedEngine, WordTokenizer
from tests.leaving import leaving
from tests.papers import paper_pdf
from tests.postgres import Postgres
from tests.test_auth import ALICE, BOB, KEYS, bearer
from tests.waiting import wait_for

Json = dict[str, Any]
TEXT = {"title": "T", "abstract": "A", "body": "# Introduction\n\nWe count."}
PDF = paper_pdf()
SLOW = 0.3
"""Seconds a line: a review takes six."""


def scripted(**how: Any) -> ScriptedEngine:
    return ScriptedEngine(WordTokenizer(), **how)


def gated(**how: Any) -> GatedEngine:
    return GatedEngine(WordTokenizer(), **how)


def post(client: httpx.Client, key: str | None = None, **asked: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return client.post("/v1/reviews", json={**TEXT, **asked}, headers=headers)


def post_pdf(client: httpx.Client, data: bytes = PDF, **asked: Any) -> httpx.Response:
    return client.post("/v1/reviews", files={"file": ("p.pdf", data)}, data=asked)


def review_of(response: httpx.Response, status: int = 200) -> Json:
    assert response.status_code == status, response.text
    body: Json = response.json()
    assert ReviewResource.model_validate(body).model_dump(mode="json") == body
    return body


def code_of(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    code: str = response.json()["error"]["code"]
    return code


def get(client: httpx.Client, review_id: str, **query: Any) -> Json:
    return review_of(client.get(f"/v1/reviews/{review_id}", params=query, timeout=60))


def events(client: httpx.Client, review_id: str, **query: Any) -> list[Json]:
    asked = {"stream": "true", **query}
    with connect_sse(client, "GET", f"/v1/reviews/{review_id}", params=asked) as source:
        assert source.response.status_code == 200
        told = list(source.iter_sse())
    bodies: list[Json] = [event.json() for event in told]
    for event, body in zip(told, bodies, strict=True):
        assert (event.event, event.id) == (body["type"], str(body["sequence_number"]))
    return bodies


def papers(folder: Path) -> list[Path]:
    return list((folder / "papers").glob("??/*"))


def waiting_clients(client: httpx.Client) -> float:
    found = re.search(r"^reviewer_places_taken (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found
    return float(found[1])


@pytest.fixture
def settings() -> Settings:
    """With SQLite. What differs between the databases, the tests of the store show."""
    return Settings(shutdown_delay_s=0, shutdown_grace_s=0)


@pytest.fixture
def either(settings: Settings, database_url: SecretStr | None) -> Settings:
    """With SQLite, and once more with PostgreSQL."""
    return settings.model_copy(update={"database_url": database_url})


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


def test_a_synchronous_review_is_stored_as_it_was_answered(
    serve: Serve, settings: Settings
) -> None:
    client = serve(scripted(), settings)
    answered = review_of(post_pdf(client))
    assert get(client, answered["id"]) == answered
    paper = client.get(f"/v1/reviews/{answered['id']}/paper")
    assert paper.content == PDF
    assert paper.headers["content-type"] == "application/pdf"
    assert paper.headers["content-disposition"].startswith("attachment")


def test_a_failed_synchronous_review_is_stored_too(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(), settings)
    assert code_of(post_pdf(client, b"no paper"), 422) == "not_a_pdf"
    (failed,) = client.get("/v1/reviews?status=failed").json()["data"]
    assert failed["error"]["code"] == "not_a_pdf"


def test_a_client_that_left_cancels_its_review(serve: Serve, settings: Settings) -> None:
    engine = gated()
    client = serve(engine, settings)
    with leaving(client, TEXT) as leave:
        wait_for(lambda: bool(engine.generations))
        leave()
    wait_for(lambda: engine.aborted == 1)
    wait_for(lambda: bool(client.get("/v1/reviews?status=cancelled").json()["data"]))


def test_a_client_that_left_its_background_review_does_not(
    serve: Serve, settings: Settings
) -> None:
    engine = gated()
    client = serve(engine, settings)
    asked = {"json": {**TEXT, "background": True, "stream": True}}
    with connect_sse(client, "POST", "/v1/reviews", **asked) as source:
        created = next(source.iter_sse()).json()
    engine.gate.set()
    assert get(client, created["id"], wait=20)["status"] == "completed"


def test_exports(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(texts=[WHOLE_REVIEW.replace("It counts tokens.", "=1+1")]), settings)
    review = review_of(post_pdf(client))
    where = f"/v1/reviews/{review['id']}/export"
    markdown = client.get(where)
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert markdown.text.startswith("# Review of “Counting Tokens Twice")
    assert "Verdict: **accept**, probability of acceptance 0.73 (not calibrated)" in markdown.text
    assert client.get(where, params={"format": "json"}).json() == review
    (row,) = csv.DictReader(client.get(where, params={"format": "csv"}).text.splitlines())
    assert (row["id"], row["decision"]) == (review["id"], "accept")
    assert row["summary"] == "'=1+1"
    assert code_of(client.get(where, params={"format": "doc"}), 400) == "invalid_value"


def test_the_list_is_paged_and_filtered(serve: Serve, either: Settings) -> None:
    client = serve(scripted(), either)
    ids = [post(client, reuse=False).json()["id"] for _ in range(5)]
    review_of(post_pdf(client))
    seen: list[str] = []
    query: Json = {"limit": 2, "order": "asc"}
    while True:
        page = client.get("/v1/reviews", params=query).json()
        seen += [one["id"] for one in page["data"]]
        assert page["has_more"] == bool(page["next"])
        if not page["next"]:
            break
        query["cursor"] = page["next"]
    assert seen[:5] == ids
    assert len(seen) == 6
    newest = client.get("/v1/reviews?limit=1").json()["data"][0]
    assert newest["title"] == "Counting Tokens Twice Is Once Too Often"
    found = client.get("/v1/reviews", params={"sha256": newest["sha256"]}).json()["data"]
    assert found == [newest]
    assert client.get("/v1/reviews?decision=reject").json()["data"] == []
    assert len(client.get("/v1/reviews?decision=accept&status=completed").json()["data"]) == 6
    assert code_of(client.get("/v1/reviews?cursor=nonsense"), 400) == "invalid_value"
    assert code_of(client.get("/v1/reviews?limit=0"), 400) == "invalid_value"


def test_what_is_not_there(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(), settings)
    for method, path in (
        ("GET", ""),
        ("GET", "?stream=true"),
        ("GET", "/paper"),
        ("GET", "/export"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ):
        response = client.request(method, f"/v1/reviews/rev_nobodys{path}")
        assert code_of(response, 404) == "review_not_found", path
    text = review_of(post(client))["id"]
    assert code_of(client.get(f"/v1/reviews/{text}/paper"), 404) == "paper_not_stored"


def test_cancelling_aborts_in_the_engine(serve: Serve, settings: Settings) -> None:
    engine = gated()
    client = serve(engine, settings)
    review_id = post(client, background=True).json()["id"]
    wait_for(lambda: bool(engine.generations))
    cancelled = review_of(client.post(f"/v1/reviews/{review_id}/cancel"))
    assert cancelled["status"] == "cancelled"
    wait_for(lambda: engine.aborted == 1)
    assert get(client, review_id, wait=20) == cancelled
    assert review_of(client.post(f"/v1/reviews/{review_id}/cancel")) == cancelled
    assert code_of(client.get(f"/v1/reviews/{review_id}/export"), 409) == "review_not_completed"
    assert events(client, review_id)[-1]["error"]["code"] == "review_cancelled"


def test_cancelling_what_another_process_makes(serve: Serve, either: Settings) -> None:
    engine = gated()
    quick = either.model_copy(update={"lease_s": 1.0})
    making = serve(engine, quick)
    other = serve(scripted(), quick.model_copy(update={"background_reviews": 0}))
    review_id = post(making, background=True).json()["id"]
    wait_for(lambda: bool(engine.generations))
    review_of(other.post(f"/v1/reviews/{review_id}/cancel"))
    wait_for(lambda: engine.aborted == 1)
    assert get(making, review_id)["status"] == "cancelled"


def test_cancelling_what_a_client_waits_for(serve: Serve, settings: Settings) -> None:
    engine = gated()
    client = serve(engine, settings)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(post, client)
        wait_for(lambda: bool(engine.generations))
        (running,) = client.get("/v1/reviews?status=in_progress").json()["data"]
        client.post(f"/v1/reviews/{running['id']}/cancel").raise_for_status()
        assert code_of(waiting.result(), 409) == "review_cancelled"
    assert engine.aborted == 1


def test_a_finished_review_cannot_be_cancelled(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(), settings)
    review_id = review_of(post(client))["id"]
    assert code_of(client.post(f"/v1/reviews/{review_id}/cancel"), 409) == "review_finished"


def test_deleting_takes_row_and_paper(serve: Serve, settings: Settings, data_dir: Path) -> None:
    client = serve(scripted(), settings)
    first = review_of(post_pdf(client))["id"]
    second = review_of(post_pdf(client, reuse="false"))["id"]
    assert client.delete(f"/v1/reviews/{first}").json() == {
        "id": first,
        "object": "review.deleted",
        "deleted": True,
    }
    assert code_of(client.get(f"/v1/reviews/{first}"), 404) == "review_not_found"
    assert papers(data_dir)
    client.delete(f"/v1/reviews/{second}").raise_for_status()
    assert not papers(data_dir)


def test_deleting_ends_what_is_made(serve: Serve, settings: Settings, data_dir: Path) -> None:
    engine = gated()
    client = serve(engine, settings)
    review_id = post_pdf(client, background="true").json()["id"]
    wait_for(lambda: bool(engine.generations))
    client.delete(f"/v1/reviews/{review_id}").raise_for_status()
    wait_for(lambda: engine.aborted == 1)
    assert not papers(data_dir)
    assert client.get("/v1/reviews").json()["data"] == []


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


def test_a_stream_is_told_again_as_it_was(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(), settings)
    asked = {"json": {**TEXT, "stream": True}}
    with connect_sse(client, "POST", "/v1/reviews", **asked) as source:
        live = [event.json() for event in source.iter_sse()]
    review_id = live[0]["id"]
    assert events(client, review_id) == live
    assert events(client, review_id, starting_after=3) == live[4:]
    assert events(client, review_id, starting_after=live[-1]["sequence_number"]) == []


def test_a_running_stream_is_resumed(serve: Serve, settings: Settings) -> None:
    engine = gated(lines=8)
    client = serve(engine, settings)
    review_id = post(client, background=True).json()["id"]
    path, query = f"/v1/reviews/{review_id}", {"stream": "true"}
    with connect_sse(client, "GET", path, params=query) as source:
        begun = [event.json() for _, event in zip(range(5), source.iter_sse(), strict=False)]
    with connect_sse(client, "GET", path, params={**query, "starting_after": 4}) as source:
        engine.gate.set()
        rest = [event.json() for event in source.iter_sse()]
    assert [*begun, *rest] == events(client, review_id)
    assert [one["sequence_number"] for one in [*begun, *rest]] == list(range(5 + len(rest)))
    assert rest[-1]["type"] == "review.completed"


def test_a_reused_review_is_streamed(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(), settings)
    first = review_of(post(client))
    with connect_sse(client, "POST", "/v1/reviews", json={**TEXT, "stream": True}) as source:
        told = [event.json() for event in source.iter_sse()]
    assert told[-1]["review"] == first


def test_a_second_attempt_is_told_from_its_beginning(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(texts=[EngineDied("died"), WHOLE_REVIEW]), settings)
    review_id = post(client, background=True).json()["id"]
    get(client, review_id, wait=20)
    told = events(client, review_id, starting_after=1)
    assert told[0]["type"] == "review.created"
    assert [one["sequence_number"] for one in told] == [
        1_000_000 + number for number in range(len(told))
    ]


def test_nothing_is_kept_where_nothing_may_be(
    serve: Serve, settings: Settings, data_dir: Path
) -> None:
    engine = scripted()
    client = serve(engine, settings.model_copy(update={"retention": "none"}))
    marker = "Xyzzymarker"
    answered = review_of(post(client, title=marker))
    assert code_of(client.get(f"/v1/reviews/{answered['id']}"), 404) == "review_not_found"
    assert code_of(post_pdf(client, b"no paper"), 422) == "not_a_pdf"
    assert client.get("/v1/reviews").json()["data"] == []
    assert not papers(data_dir)
    assert code_of(post(client, background=True), 400) == "background_not_kept"
    assert not review_of(post(client, title=marker))["reused"]
    for file in data_dir.rglob("*"):
        assert not file.is_file() or marker.encode() not in file.read_bytes()


def test_a_chat_completion_with_a_paper_is_a_review_too(serve: Serve, settings: Settings) -> None:
    import base64

    engine = scripted()
    client = serve(engine, settings)
    data = "data:application/pdf;base64," + base64.b64encode(PDF).decode()
    part = {"type": "file", "file": {"file_data": data}}
    body: Json = {"model": "scripted", "messages": [{"role": "user", "content": [part]}]}
    answer = client.post("/v1/chat/completions", json=body).json()
    assert get(client, answer["review"]["id"]) == answer["review"]
    assert client.get(f"/v1/reviews/{answer['review']['id']}/paper").content == PDF
    again = client.post("/v1/chat/completions", json=body).json()
    assert again["review"] == {**answer["review"], "reused": True}
    assert again["choices"] == answer["choices"]
    streamed = client.post("/v1/chat/completions", json={**body, "stream": True}).text
    chunks = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    content = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
    assert content == answer["choices"][0]["message"]["content"]
    assert len(engine.generations) == 1


@pytest.fixture
def own_postgres() -> Any:
    """One that a test may stop."""
    with Postgres() as running:
        yield running


def test_a_database_that_goes_away_and_comes_back(serve: Serve, own_postgres: Postgres) -> None:
    engine = gated()
    settings = Settings(
        database_url=SecretStr(own_postgres.new_database()), shutdown_delay_s=0, shutdown_grace_s=0
    )
    client = serve(engine, settings)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: client.post("/v1/reviews", json=TEXT, timeout=60))
        wait_for(lambda: bool(engine.generations))
        own_postgres.stop()
        unavailable = post(client)
        assert code_of(unavailable, 503) == "store_unavailable"
        assert unavailable.headers["retry-after"] == "5"
        for path in ("/v1/reviews", "/v1/reviews/rev_x"):
            assert code_of(client.get(path), 503) == "store_unavailable"
        wait_for(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/readyz").json()["error"]["code"] == "store_unavailable"
        assert client.get("/livez").is_success
        assert "reviewer_unfinished_reviews{" not in client.get("/metrics").raise_for_status().text
        # The review that was being made is answered all the same,
        engine.gate.set()
        answered = review_of(waiting.result())
    own_postgres.start()
    wait_for(lambda: client.get("/readyz").is_success)
    # and written down when that is possible again.
    wait_for(lambda: client.get(f"/v1/reviews/{answered['id']}").json()["status"] == "completed")
    assert get(client, answered["id"]) == answered
    assert review_of(post(client, reuse=False))


def test_a_database_that_is_not_there_at_the_start(serve: Serve, own_postgres: Postgres) -> None:
    url = own_postgres.new_database()
    own_postgres.stop()
    with ThreadPoolExecutor(1) as threads:
        # It waits until the service is ready.
        starting = threads.submit(serve, scripted(), Settings(database_url=SecretStr(url)))
        time.sleep(0.5)
        assert not starting.done()
        own_postgres.start()
        client = starting.result()
    assert review_of(post(client))


def test_a_client_that_hangs_up_while_it_waits(serve: Serve, settings: Settings) -> None:
    """Long polls of clients that are gone cost nothing, and end nothing."""
    engine = gated()
    client = serve(engine, settings)
    review_id = post(client, background=True).json()["id"]
    with socket.create_connection((client.base_url.host, client.base_url.port or 80)) as raw:
        raw.sendall(f"GET /v1/reviews/{review_id}?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    engine.gate.set()
    assert get(client, review_id, wait=20)["status"] == "completed"
