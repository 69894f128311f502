"""The service's reviews as its clients use them, for tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import connect_sse

from app.api.schemas.review import ReviewResource
from tests.doubles import GatedEngine, ScriptedEngine, WordTokenizer
from tests.papers import paper_pdf

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
