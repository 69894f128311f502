"""Reviews that a client waits for: stored all the same, and ended with the client."""

from __future__ import annotations

import json
from pathlib import Path

from httpx_sse import connect_sse

from app.settings import Settings
from tests.conftest import Serve
from tests.jobs.api import (
    PDF,
    TEXT,
    Json,
    code_of,
    gated,
    get,
    papers,
    post,
    post_pdf,
    review_of,
    scripted,
)
from tests.leaving import leaving
from tests.waiting import wait_for


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
