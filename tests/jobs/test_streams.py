"""Events of reviews: live, resumed, and once all is over."""

from __future__ import annotations

from httpx_sse import connect_sse

from app.errors import EngineDied
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW
from tests.jobs.api import (
    TEXT,
    events,
    gated,
    get,
    post,
    review_of,
    scripted,
)


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
