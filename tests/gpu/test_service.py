"""What the service does for its users, on a GPU: ``pytest tests/gpu``.

The weights are random: what is written is noise, but held to its format, judged and stopped as a
real model's is. The last test ends the engine.
"""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import openai
import pytest
from httpx_sse import connect_sse

from app.review.templates import published
from tests.papers import paper_pdf
from tests.service import Service
from tests.waiting import wait_for

pytestmark = pytest.mark.xdist_group("gpu")

TEXT = {
    "title": "Counting Tokens on a GPU",
    "abstract": "We count.",
    "body": "# Introduction\n\nWe count tokens, once. They are many.\n\n# Method\n\nBy hand.",
    "reuse": False,
}
LONG = {**TEXT, "format": "free", "max_tokens": 4000, "temperature": 1.5, "top_k": 0}


def review(client: httpx.Client, **asked: Any) -> dict[str, Any]:
    response = client.post("/v1/reviews", json={**TEXT, **asked})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def running(client: httpx.Client) -> float:
    """Sequences that the engine works on."""
    lines = client.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("vllm:num_requests_running")]
    return float(found[0].split()[-1]) if found else 0.0


def test_a_review_is_held_to_its_format(gpu_client: httpx.Client) -> None:
    found = review(gpu_client)
    assert found["constrained"] is True
    assert found["text"].startswith("## Summary\n")
    assert found["text"].endswith(("for ACCEPTANCE.", "for REJECTION."))
    assert all(f"## {spec.heading}\n" in found["text"] for spec in published().sections)
    assert found["verdict"]["source"] == "review_line"
    assert 0 < found["verdict"]["probability"] < 1
    assert found["usage"]["completion_tokens"] <= 300


def test_a_pdf(gpu_client: httpx.Client) -> None:
    response = gpu_client.post("/v1/reviews", files={"file": ("paper.pdf", paper_pdf())})
    assert response.status_code == 200, response.text
    assert response.json()["paper"]["pages"] >= 1


def test_side_by_side_all_are_held(gpu_client: httpx.Client) -> None:
    with ThreadPoolExecutor(24) as threads:
        made = threads.map(lambda at: review(gpu_client, title=f"Paper {at}"), range(24))
    assert [found["constrained"] for found in made] == [True] * 24


def test_a_seed_is_taken(gpu_client: httpx.Client) -> None:
    assert review(gpu_client, seed=7)["constrained"] is True


def test_the_paper_is_in_the_prefix_cache(gpu_client: httpx.Client) -> None:
    asked = {"title": "Once and Again", "body": "We count tokens, again and again. " * 200}
    review(gpu_client, **asked)
    usage = review(gpu_client, **asked)["usage"]
    assert usage["cached_tokens"] > 0.9 * usage["prompt_tokens"]


def test_five_samples(gpu_client: httpx.Client) -> None:
    verdict = review(gpu_client, samples=5, temperature=1.0)["verdict"]
    assert len(verdict["samples"]) == 5
    assert all(0 < sample < 1 for sample in verdict["samples"])


def test_the_verdict_alone(gpu_client: httpx.Client) -> None:
    found = review(gpu_client, mode="verdict")
    assert found["verdict"]["source"] == "probe"
    assert 0 < found["verdict"]["mass"]["accept"] < 1


def test_streamed(gpu_client: httpx.Client) -> None:
    with connect_sse(gpu_client, "POST", "/v1/reviews", json={**TEXT, "stream": True}) as source:
        events = [event.json() for event in source.iter_sse()]
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["review.created", "review.extracted"]
    assert kinds[-2:] == ["review.verdict", "review.completed"]
    assert kinds.count("review.delta") > 100


def test_who_hangs_up_stops_the_engine(gpu_client: httpx.Client) -> None:
    with connect_sse(gpu_client, "POST", "/v1/reviews", json={**LONG, "stream": True}) as source:
        for event in source.iter_sse():
            if event.event == "review.delta":
                break
    wait_for(lambda: running(gpu_client) == 0)


def test_a_background_review_is_cancelled(gpu_client: httpx.Client) -> None:
    accepted = gpu_client.post("/v1/reviews", json={**LONG, "background": True})
    assert accepted.status_code == 202, accepted.text
    path = f"/v1/reviews/{accepted.json()['id']}"
    wait_for(lambda: running(gpu_client) > 0)
    assert gpu_client.post(f"{path}/cancel").json()["status"] == "cancelled"
    wait_for(lambda: running(gpu_client) == 0)


def test_chat_by_the_sdk(gpu_sdk: openai.OpenAI) -> None:
    (model,) = gpu_sdk.models.list()
    schema = {
        "type": "object",
        "properties": {"decision": {"type": "string", "enum": ["accept", "reject"]}},
        "required": ["decision"],
        "additionalProperties": False,
    }
    answer = gpu_sdk.chat.completions.create(
        model=model.id,
        messages=[{"role": "user", "content": "Judge the paper, as JSON."}],
        max_tokens=32,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "verdict", "schema": schema},
        },
    )
    assert json.loads(answer.choices[0].message.content or "")["decision"] in ("accept", "reject")


def test_chat_with_a_pdf_by_the_sdk(gpu_sdk: openai.OpenAI) -> None:
    (model,) = gpu_sdk.models.list()
    pdf = "data:application/pdf;base64," + base64.b64encode(paper_pdf()).decode()
    parts: list[Any] = [
        {"type": "text", "text": "Please review this."},
        {"type": "file", "file": {"file_data": pdf, "filename": "paper.pdf"}},
    ]
    answer = gpu_sdk.chat.completions.create(
        model=model.id, messages=[{"role": "user", "content": parts}]
    )
    assert (answer.choices[0].message.content or "").startswith("## Summary\n")


def test_the_engine_comes_back(gpu: Service, gpu_client: httpx.Client) -> None:
    with ThreadPoolExecutor() as threads:
        flying = threads.submit(gpu_client.post, "/v1/reviews", json=LONG)
        wait_for(lambda: running(gpu_client) > 0)
        engines = gpu.engine_processes()
        assert engines
        for process in engines:
            process.kill()
        response = flying.result(timeout=60)
    assert response.status_code == 503, response.text
    assert response.json()["error"]["code"] == "engine_died"
    gpu.wait("/readyz", 503)
    assert gpu_client.get("/livez").status_code == 200
    gpu.wait("/readyz", 200)
    assert review(gpu_client)["constrained"] is True
