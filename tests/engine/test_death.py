"""The engine's process is killed under the session's real service: the last tests of it."""

from __future__ import annotations

import concurrent.futures
import time

import httpx
import psutil
import pytest

from tests.service import Service

pytestmark = pytest.mark.ends_the_engine

REVIEW = {
    "title": "Counting",
    "body": "We count tokens, once.",
    "format": "free",
    "max_tokens": 4000,
    "temperature": 1.5,
}
CHAT = {
    "model": "smollm2",
    "messages": [{"role": "user", "content": "Tell a story."}],
    "max_tokens": 4000,
    "ignore_eos": True,
}


def test_requests_in_flight_get_503_and_the_engine_comes_back(service: Service) -> None:
    with (
        httpx.Client(base_url=service.url, timeout=60) as client,
        concurrent.futures.ThreadPoolExecutor() as threads,
    ):
        flying = [
            threads.submit(client.post, "/v1/reviews", json=REVIEW),
            threads.submit(client.post, "/v1/chat/completions", json=CHAT),
        ]
        while "vllm:num_requests_running" not in (page := client.get("/metrics").text) or (
            'running{engine="0",model_name="smollm2"} 2.0' not in page
        ):
            time.sleep(0.05)
        engines = service.engine_processes()
        assert engines
        for process in engines:
            process.kill()
        for answer in flying:
            response = answer.result(timeout=30)
            assert response.status_code == 503, response.text
            assert response.json()["error"]["code"] == "engine_died"
        service.wait("/readyz", 503)
        assert client.get("/livez").status_code == 200
        refused = client.post("/v1/chat/completions", json=CHAT)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0

        service.wait("/readyz", 200)
        again = client.post("/v1/reviews", json={**REVIEW, "max_tokens": 16})
        assert again.status_code == 200, again.text
        chat = client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 4})
        assert chat.status_code == 200, chat.text
    assert not set(engines) & set(service.engine_processes())


def test_the_engine_ends_with_a_service_that_is_killed(service: Service) -> None:
    """The very last test of the session's service."""
    engines = service.engine_processes()
    assert engines
    service.process.kill()
    service.process.wait()
    gone, alive = psutil.wait_procs(engines, timeout=10)
    assert gone
    assert not alive
