"""The service in front of another one: reviews and chat by an upstream engine."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.papers import paper_pdf
from tests.service import SMALL, Service


@pytest.fixture(scope="module")
def front(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"REVIEWER_ENGINE": "upstream", "REVIEWER_UPSTREAM_URL": f"{service.url}/v1"}
    with Service(tmp_path_factory.mktemp("front") / "log", **SMALL, **settings) as running:
        yield running


def test_a_review(front: Service) -> None:
    response = httpx.post(
        f"{front.url}/v1/reviews", files={"file": ("p.pdf", paper_pdf())}, timeout=120
    )
    assert response.status_code == 200, response.text
    body = response.json()
    assert body["verdict"]["decision"] in ("accept", "reject")
    assert 0 < body["verdict"]["probability"] < 1
    assert body["usage"]["prompt_tokens"] > 500
    assert body["text"].startswith("## Summary")


def test_the_upstreams_refusal_reaches_the_client(front: Service) -> None:
    body = {"title": "T", "body": "B", "seed": 1}
    response = httpx.post(f"{front.url}/v1/reviews", json=body, timeout=60)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "seed_unsupported"


def test_the_sdk(front: Service) -> None:
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="unused", max_retries=0) as sdk:
        assert [model.id for model in sdk.models.list()] == ["smollm2"]
        hello = [{"role": "user", "content": "Say hello."}]
        asked = {"model": "smollm2", "messages": hello, "max_tokens": 8, "temperature": 0}
        plain = sdk.chat.completions.create(**asked)  # type: ignore[call-overload]
        chunks = list(sdk.chat.completions.create(**asked, stream=True))  # type: ignore[call-overload]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert text == plain.choices[0].message.content
        with pytest.raises(openai.BadRequestError):
            sdk.chat.completions.create(**{**asked, "temperature": 9})  # type: ignore[call-overload]


def test_metrics_are_its_own(front: Service) -> None:
    page = httpx.get(f"{front.url}/metrics").text
    assert "reviewer_reviews_total" in page
    assert "vllm:" not in page
