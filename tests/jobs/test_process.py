"""The service as a process: told to stop, killed, out of disk."""

from __future__ import annotations

import resource
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from pydantic import SecretStr

from benchmarks.crash import crash
from tests.jobs.api import code_of, get, post, review_of
from tests.papers import paper_html, typeset
from tests.scripted import KILLS_THE_PROCESS
from tests.service import ScriptedService, Service
from tests.waiting import wait_for

AT_ONCE = {"REVIEWER_SHUTDOWN_DELAY_S": "0", "REVIEWER_SHUTDOWN_GRACE_S": "1"}


def scripted(tmp_path: Path, gate: Path | None = None, **environment: str) -> Service:
    """Reviews wait for the file ``gate``."""
    gates = {"SCRIPTED_GATE": str(gate)} if gate else {}
    return ScriptedService(tmp_path / "log", **gates, **environment)


def status_of(client: httpx.Client, path: str) -> int | None:
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return None


def test_told_to_stop_it_finishes_what_it_can(tmp_path: Path) -> None:
    """Readiness goes first, while it still answers; what it has taken on is completed."""
    gate = tmp_path / "gate"
    with (
        scripted(tmp_path, gate, REVIEWER_SHUTDOWN_DELAY_S="2") as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        review_id = post(client, background=True).json()["id"]
        wait_for(lambda: get(client, review_id)["status"] == "in_progress")
        service.process.send_signal(signal.SIGTERM)
        wait_for(lambda: status_of(client, "/readyz") == 503)
        assert client.get("/readyz").json()["error"]["code"] == "shutting_down"
        assert get(client, review_id)["status"] == "in_progress"
        gate.touch()
        assert service.process.wait(60) == -signal.SIGTERM
    with (
        scripted(tmp_path, REVIEWER_BACKGROUND_REVIEWS="0") as service,
        httpx.Client(base_url=service.url) as client,
    ):
        assert get(client, review_id)["status"] == "completed"


def test_what_cannot_finish_goes_back_to_the_queue(tmp_path: Path) -> None:
    with (
        scripted(tmp_path, tmp_path / "gate", **AT_ONCE) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        ids = [post(client, background=True, reuse=False).json()["id"] for _ in range(3)]
        wait_for(lambda: get(client, ids[-1])["status"] == "in_progress")
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(60)
    # No lease has to run out first.
    with (
        scripted(tmp_path, REVIEWER_LEASE_S="600") as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        for review_id in ids:
            assert get(client, review_id, wait=20)["status"] == "completed"


def test_a_client_that_waits_is_told_of_the_stop(tmp_path: Path) -> None:
    with (
        scripted(tmp_path, tmp_path / "gate", **AT_ONCE) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):

        def stop_when_begun() -> None:
            with httpx.Client(base_url=service.url) as watching:
                query = "/v1/reviews?status=in_progress"
                wait_for(lambda: bool(watching.get(query).json()["data"]))
            service.process.send_signal(signal.SIGTERM)

        import threading

        stopping = threading.Thread(target=stop_when_begun)
        stopping.start()
        assert code_of(post(client), 503) == "shutting_down"
        stopping.join()


def limit_files(service: Service, size: int) -> None:
    """The largest file that the service can write, in bytes: as good as a full disk."""
    psutil.Process(service.process.pid).rlimit(resource.RLIMIT_FSIZE, (size, -1))


def test_a_full_disk(tmp_path: Path) -> None:
    big = typeset(paper_html(words_per_section=8000))
    with (
        scripted(tmp_path) as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        kept = review_of(post(client))
        limit_files(service, 1000)
        response = client.post("/v1/reviews", files={"file": ("p.pdf", big)})
        assert code_of(response, 507) == "storage_full"
        assert response.headers["retry-after"]
        # Whichever of the paper's file and the database's finds out: the answer is the same.
        assert code_of(post(client, title="Another"), 507) == "storage_full"
        assert code_of(post(client, title="Another", background=True), 507) == "storage_full"
        assert code_of(client.delete(f"/v1/reviews/{kept['id']}"), 507) == "storage_full"
        # That of the review from before: nothing is left of those that were refused.
        assert len(list((tmp_path / "data" / "papers").glob("??/*"))) == 1
        assert get(client, kept["id"]) == kept
        limit_files(service, -1)
        assert review_of(client.post("/v1/reviews", files={"file": ("p.pdf", big)}))
        assert review_of(post(client, reuse=False))


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"REVIEWER_DATA_DIR": "/proc/nobodys"}, "can't be written to"),
        ({"REVIEWER_DATABASE_URL": "oracle://x"}, "must begin with postgresql://"),
    ],
)
def test_a_store_that_cannot_work_ends_the_start(
    tmp_path: Path, environment: dict[str, str], told: str
) -> None:
    upstream = {"REVIEWER_ENGINE": "upstream", "REVIEWER_UPSTREAM_URL": "http://127.0.0.1:9/v1"}
    service = Service(tmp_path / "log", **upstream, **environment)
    assert service.process.wait(60) == 2
    log = service.log.read_text()
    assert told in log
    assert "Traceback" not in log


def test_a_poison_review_that_kills_the_process_fails_alone(tmp_path: Path) -> None:
    """The process is started again whenever it ends, as whoever runs it does."""
    environment = {
        "REVIEWER_LEASE_S": "1",
        "REVIEWER_MAX_ATTEMPTS": "2",
        # Whatever is begun beside it is still being written when it kills them all.
        "SCRIPTED_DELAY_S": "0.2",
    }
    with (
        scripted(tmp_path, REVIEWER_BACKGROUND_REVIEWS="0") as service,
        httpx.Client(base_url=service.url, timeout=60) as client,
    ):
        good = [post(client, background=True, title=f"Good {n}").json()["id"] for n in range(3)]
        poison = post(client, background=True, body=KILLS_THE_PROCESS).json()["id"]
        good += [post(client, background=True, title=f"Good {n}").json()["id"] for n in range(3, 6)]
    lives = 0
    ends = time.monotonic() + 300
    while time.monotonic() < ends:
        service, lives = scripted(tmp_path, None, **environment), lives + 1
        service.wait()
        with httpx.Client(base_url=service.url, timeout=60) as client:
            while service.process.poll() is None and status(client, poison) != "failed":
                time.sleep(0.1)
            if service.process.poll() is None:
                break
    with service, httpx.Client(base_url=service.url, timeout=60) as client:
        assert get(client, poison)["error"]["code"] == "attempts_exhausted"
        assert {get(client, one, wait=60)["status"] for one in good} == {"completed"}
    # Once beside others, twice alone, and one that ends it by the book.
    assert lives == 4


def status(client: httpx.Client, review_id: str) -> str | None:
    try:
        found: str = get(client, review_id)["status"]
    except httpx.TransportError:
        return None
    return found


def test_killed_again_and_again_it_loses_nothing(
    tmp_path: Path, database_url: SecretStr | None
) -> None:
    """A short form of ``python -m benchmarks.crash``."""
    found: dict[str, Any] = crash(
        tmp_path,
        database_url.get_secret_value() if database_url else None,
        reviews=12,
        kills=2,
        delay_s=0.1,
    )
    assert found["completed"] == 12
    assert found["written twice"] == 0
    assert found["begun again"] > 0
