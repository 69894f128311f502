"""The engine's process stands still, or is killed: the last tests of the session's real service."""

from __future__ import annotations

import concurrent.futures
import time

import httpx
import psutil
import pytest

from tests.conftest import HANG_S
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


def test_an_engine_that_stands_still_is_ended_and_another_started(service: Service) -> None:
    """With requests in flight: a background review that it had been given is made by the next."""
    engines = service.engine_processes()
    assert engines
    for process in engines:
        process.suspend()
    with (
        httpx.Client(base_url=service.url, timeout=120) as client,
        concurrent.futures.ThreadPoolExecutor() as threads,
    ):
        chat = threads.submit(client.post, "/v1/chat/completions", json=CHAT)
        asked = {**REVIEW, "max_tokens": 16, "background": True}
        accepted = client.post("/v1/reviews", json=asked)
        assert accepted.status_code == 202, accepted.text

        service.wait("/readyz", 503)
        reason = client.get("/readyz").json()["error"]["message"]
        assert f"it has done nothing for {HANG_S} s" in reason
        assert client.get("/livez").status_code == 200
        assert chat.result().status_code == 503
        assert chat.result().json()["error"]["code"] == "engine_died"

        service.wait("/readyz", 200)
        assert not any(process.is_running() for process in engines)
        path = f"/v1/reviews/{accepted.json()['id']}"
        review = client.get(path, params={"wait": 100}).json()
        assert review["status"] == "completed", review
        again = client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 4})
        assert again.status_code == 200, again.text


def test_requests_in_flight_get_503_when_the_engine_is_killed(service: Service) -> None:
    """That the next one is started, the test before this has shown."""
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
        for process in service.engine_processes():
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


def test_what_is_starting_ends_with_a_service_that_is_killed(service: Service) -> None:
    """The very last test of the session's service."""
    service.wait("/readyz", 503)
    while not (children := psutil.Process(service.process.pid).children(recursive=True)):
        time.sleep(0.05)
    service.process.kill()
    service.process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
