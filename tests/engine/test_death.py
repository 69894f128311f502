"""The engine's process is killed under the real service."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from tests.service import SMALL, Service

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


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("mortal") / "log", **SMALL) as running:
        yield running


def test_requests_in_flight_get_503_and_the_engine_comes_back(mortal: Service) -> None:
    with (
        httpx.Client(base_url=mortal.url, timeout=60) as client,
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
        engines = mortal.engine_processes()
        assert engines
        killed = time.monotonic()
        for process in engines:
            process.kill()
        for answer in flying:
            response = answer.result(timeout=30)
            assert response.status_code == 503, response.text
            assert response.json()["error"]["code"] == "engine_died"
        assert time.monotonic() - killed < 10
        mortal.wait("/readyz", 503)
        assert client.get("/livez").status_code == 200
        refused = client.post("/v1/chat/completions", json=CHAT)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0

        mortal.wait("/readyz", 200)
        again = client.post("/v1/reviews", json={**REVIEW, "max_tokens": 16})
        assert again.status_code == 200, again.text
        chat = client.post("/v1/chat/completions", json={**CHAT, "max_tokens": 4})
        assert chat.status_code == 200, chat.text
    assert not set(engines) & set(mortal.engine_processes())


def test_the_engine_ends_with_a_service_that_is_killed(mortal: Service) -> None:
    """The last one of this service."""
    engines = mortal.engine_processes()
    assert engines
    mortal.process.kill()
    mortal.process.wait()
    gone, alive = psutil.wait_procs(engines, timeout=10)
    assert gone
    assert not alive
