"""SIGTERM: not ready at once, still answering for a moment, then running reviews may finish."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.routes.test_reviews import TEXT
from tests.service import ScriptedService, Service
from tests.waiting import wait_for


@contextmanager
def reviewing(service: Service) -> Iterator[list[httpx.Response | httpx.TransportError]]:
    """A review under way; its answer, or what became of it, once the block has ended."""
    answers: list[httpx.Response | httpx.TransportError] = []

    def ask() -> None:
        try:
            answers.append(httpx.post(f"{service.url}/v1/reviews", json=TEXT, timeout=60))
        except httpx.TransportError as error:
            answers.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    stage = 'reviewer_reviews_in_stage{stage="generation"} 1.0'
    wait_for(lambda: stage in httpx.get(f"{service.url}/metrics").text)
    yield answers
    thread.join()


def is_listening(service: Service) -> bool:
    try:
        httpx.get(f"{service.url}/livez")
    except httpx.TransportError:
        return False
    return True


def test_running_reviews_finish_and_readiness_is_the_first_to_go(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    told = {"SCRIPTED_GATE": str(gate), "REVIEWER_SHUTDOWN_DELAY_S": "2"}
    with ScriptedService(tmp_path / "log", **told) as service, reviewing(service) as answers:
        service.process.send_signal(signal.SIGTERM)
        # New connections, each of them: the service is still there for everybody else.
        wait_for(lambda: httpx.get(f"{service.url}/readyz").status_code == 503)
        unready = httpx.get(f"{service.url}/readyz")
        assert unready.json()["error"]["code"] == "shutting_down"
        assert httpx.get(f"{service.url}/livez").status_code == 200
        assert httpx.post(f"{service.url}/v1/papers", json={}).status_code == 400
        wait_for(lambda: not is_listening(service))
        gate.touch()
        service.process.wait()
    (answer,) = answers
    assert isinstance(answer, httpx.Response)
    assert answer.json()["status"] == "completed"
    assert service.process.returncode == -signal.SIGTERM


def test_what_does_not_finish_in_time_is_aborted(tmp_path: Path) -> None:
    told = {
        "SCRIPTED_GATE": "never there",
        "REVIEWER_SHUTDOWN_DELAY_S": "0",
        "REVIEWER_SHUTDOWN_GRACE_S": "1",
    }
    with ScriptedService(tmp_path / "log", **told) as service, reviewing(service) as answers:
        service.process.send_signal(signal.SIGTERM)
        service.process.wait()
    (answer,) = answers
    assert isinstance(answer, httpx.Response)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "shutting_down"


def test_a_person_does_not_wait(tmp_path: Path) -> None:
    with ScriptedService(tmp_path / "log", REVIEWER_SHUTDOWN_DELAY_S="60") as service:
        service.process.send_signal(signal.SIGINT)
        service.process.wait(50)
