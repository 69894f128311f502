"""``stream: true``: events while the review is written."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from app.api.routes import sse
from app.api.schemas.review import Review
from app.engine.tokenizer import ChatTokenizer
from app.errors import EngineUnavailable
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW, ScriptedEngine
from tests.papers import paper_pdf
from tests.routes.test_reviews import TEXT, running_requests
from tests.service import Service
from tests.waiting import wait_for

Event = dict[str, Any]


def streamed(client: httpx.Client, **more: Any) -> list[Event]:
    """The events of a review of a PDF; each checked to be numbered and named as it says."""
    asked = {"files": {"file": ("p.pdf", paper_pdf())}, "data": {"stream": "true", **more}}
    return read(client, **asked)


def read(client: httpx.Client, **asked: Any) -> list[Event]:
    with connect_sse(client, "POST", "/v1/reviews", **asked) as source:
        assert source.response.status_code == 200
        events = list(source.iter_sse())
    told: list[Event] = [event.json() for event in events]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    for event, content in zip(events, told, strict=True):
        assert (event.event, event.id) == (content["type"], str(content["sequence_number"]))
    return told


def of_type(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["type"] == kind]


@pytest.fixture(scope="module")
def events(client: httpx.Client) -> list[Event]:
    """Of a real review."""
    return streamed(client)


def test_the_events_come_in_order(events: list[Event]) -> None:
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["review.created", "review.extracted"]
    assert kinds[-2:] == ["review.verdict", "review.completed"]
    assert set(kinds[2:-2]) == {"review.delta", "review.section.completed"}


def test_the_paper_is_told_before_the_review(events: list[Event]) -> None:
    (extracted,) = of_type(events, "review.extracted")
    (completed,) = of_type(events, "review.completed")
    assert extracted["paper"] == completed["review"]["paper"]
    integrity = completed["review"]["integrity"]
    of_the_review = {"cut_sections": [], "repeated_points": 0}
    assert extracted["integrity"] == {**integrity, **of_the_review}


def test_each_section_is_streamed_and_then_told_whole(events: list[Event]) -> None:
    (completed,) = of_type(events, "review.completed")
    review = Review.model_validate(completed["review"])
    assert review.review
    done = {event["section"]: event for event in of_type(events, "review.section.completed")}
    assert list(done) == [
        "summary",
        "strengths",
        "weaknesses",
        "technical_soundness",
        "clarity",
        "significance",
    ]
    for section, event in done.items():
        deltas = [e for e in of_type(events, "review.delta") if e["section"] == section]
        assert all(delta["sequence_number"] < event["sequence_number"] for delta in deltas)
        raw = "".join(delta["text"] for delta in deltas)
        assert raw.strip() in review.text
        value = getattr(review.review, section)
        if section in ("strengths", "weaknesses"):
            value = [point.text for point in value]
        assert event["value"] == value
    assert len(of_type(events, "review.delta")) > 30


def test_the_last_event_is_the_whole_resource(events: list[Event]) -> None:
    (created,) = of_type(events, "review.created")
    (verdict,) = of_type(events, "review.verdict")
    review = events[-1]["review"]
    assert Review.model_validate(review).model_dump(mode="json") == review
    assert (created["id"], created["model"]) == (review["id"], review["model"])
    assert verdict["verdict"] == review["verdict"]


def test_samples_are_streamed_side_by_side(serve: Serve, tokenizer: ChatTokenizer) -> None:
    texts = [WHOLE_REVIEW, WHOLE_REVIEW.replace("Sound.", "Unsound.")]
    client = serve(ScriptedEngine(tokenizer, texts), Settings())
    told = streamed(client, samples=2)
    sections = of_type(told, "review.section.completed")
    soundness = {e["sample"]: e["value"] for e in sections if e["section"] == "technical_soundness"}
    assert soundness == {0: "Sound.", 1: "Unsound."}
    assert len(told[-1]["review"]["verdict"]["samples"]) == 2


def test_the_verdict_alone_is_streamed_too(serve: Serve, tokenizer: ChatTokenizer) -> None:
    told = streamed(serve(ScriptedEngine(tokenizer), Settings()), mode="verdict")
    assert [event["type"] for event in told] == [
        "review.created",
        "review.extracted",
        "review.verdict",
        "review.completed",
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineUnavailable("died"), "engine_unavailable"),
        (ZeroDivisionError("a secret path"), "internal_error"),
    ],
)
def test_a_failure_is_the_last_event(
    serve: Serve, tokenizer: ChatTokenizer, error: Exception, code: str
) -> None:
    client = serve(ScriptedEngine(tokenizer, [error]), Settings())
    told = streamed(client)
    assert [event["type"] for event in told] == ["review.created", "review.extracted", "error"]
    assert told[-1]["error"]["code"] == code
    assert "secret" not in json.dumps(told)
    assert f'reviewer_errors_total{{code="{code}"}} 1.0' in client.get("/metrics").text


def test_a_file_that_is_no_paper_is_the_last_event(serve: Serve, tokenizer: ChatTokenizer) -> None:
    client = serve(ScriptedEngine(tokenizer), Settings())
    told = read(client, files={"file": ("p.pdf", b"nonsense")}, data={"stream": "true"})
    assert [event["type"] for event in told] == ["review.created", "error"]
    assert told[-1]["error"]["code"] == "not_a_pdf"


def test_a_request_that_is_wrong_has_its_status(serve: Serve, tokenizer: ChatTokenizer) -> None:
    client = serve(ScriptedEngine(tokenizer), Settings())
    response = client.post("/v1/reviews", json={**TEXT, "stream": True, "template": "none"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "unknown_template"


def test_a_silent_stream_is_kept_alive(serve: Serve, tokenizer: ChatTokenizer) -> None:
    """With a client that reads bytes, since comments are nothing to one that reads events."""
    engine = ScriptedEngine(tokenizer, ["One line."], delay_s=sse.KEEP_ALIVE_S + 1)
    body = {**TEXT, "stream": True, "format": "free"}
    with serve(engine, Settings()).stream("POST", "/v1/reviews", json=body, timeout=60) as response:
        text = "".join(response.iter_text())
    before, comment, after = text.partition(": ping\n\n")
    assert "review.extracted" in before
    assert comment
    assert "One line." in after


def test_a_client_that_left_ends_the_work(service: Service) -> None:
    asked = {**TEXT, "stream": True, "format": "free", "max_tokens": 3000, "temperature": 1.5}
    body = json.dumps(asked).encode()
    with httpx.Client(base_url=service.url) as watching:
        with socket.create_connection(("127.0.0.1", service.port)) as connection:
            head = "POST /v1/reviews HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            wait_for(lambda: running_requests(watching) == 1)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        wait_for(lambda: running_requests(watching) == 0)
