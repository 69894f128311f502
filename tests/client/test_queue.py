"""``reviewer batch`` and the service's queue: what goes through it, and what happens without it."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.client.command import batch, begin, by_path, lines, tiny_papers, until_it_holds
from tests.client.stub import Answer, StubService, accepted, refused, reviewed
from tests.papers import paper_html, typeset
from tests.service import ScriptedService, Service
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_papers(tmp_path_factory.mktemp("papers"), 12)


def stored(service: Service, **filters: str) -> list[dict[str, object]]:
    answer = httpx.get(f"{service.url}/v1/reviews", params={"limit": "100", **filters})
    data: list[dict[str, object]] = answer.json()["data"]
    return data


def until_nothing_runs(service: Service) -> None:
    while stored(service, status="queued") or stored(service, status="in_progress"):
        time.sleep(0.05)


def test_reviews_are_made_in_the_background_and_only_once(papers: Path, tmp_path: Path) -> None:
    """Also when the client is killed: what was in its hands is finished, stored and used."""
    out = tmp_path / "o.jsonl"
    settings = {"SCRIPTED_DELAY_S": "0.05", "REVIEWER_BACKGROUND_REVIEWS": "2"}
    with ScriptedService(tmp_path / "log", **settings) as service:
        words = (papers, "--url", service.url, "--concurrency", "4", "--out")
        running = begin(*words, out)
        until_it_holds(out, 2, running)
        running.kill()
        _, said = running.communicate()
        # The service was ready.
        assert "waiting" not in said
        until_nothing_runs(service)
        done = batch(*words, out)
        assert done.returncode == 0, done.stderr
        assert len(by_path(out)) == 12
        assert len(stored(service)) == 12
        assert all(review["background"] for review in stored(service))
        assert {line["review"]["reused"] for line in lines(out)[-10:]} == {True, False}

        # Stored reviews are no work that a rate and the time left could be told from.
        again = batch(*words, tmp_path / "again.jsonl")
        assert again.returncode == 0
        assert again.stderr.splitlines()[-1] == "12/12 papers, 0 failed"
        assert "12 papers: 12 reviewed, 0 failed" in again.stdout
        assert len(stored(service)) == 12


def test_an_interrupted_client_cancels_what_is_in_progress(tmp_path: Path) -> None:
    papers = tiny_papers(tmp_path / "papers", 6)
    out = tmp_path / "o.jsonl"
    settings = {"SCRIPTED_DELAY_S": "0.5", "REVIEWER_BACKGROUND_REVIEWS": "1"}
    with ScriptedService(tmp_path / "log", **settings) as service:
        running = begin(papers, "--out", out, "--url", service.url, "--concurrency", "3")
        until_it_holds(out, 1, running)
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=60)
        assert running.returncode == 130
        assert "The same command continues from here." in said
        assert not stored(service, status="queued")
        wait_for(lambda: not stored(service, status="in_progress"))
        assert len(stored(service, status="cancelled")) >= 2


def test_what_the_service_failed_on_is_not_sent_again(tmp_path: Path) -> None:
    """It has tried as often as it should; the next run may."""
    papers = tiny_papers(tmp_path / "papers", 2)
    (papers / "bad.pdf").write_bytes(typeset(paper_html("CRASH-THE-ENGINE")))
    out = tmp_path / "o.jsonl"
    with ScriptedService(tmp_path / "log", REVIEWER_MAX_ATTEMPTS="1") as service:
        done = batch(papers, "--out", out, "--url", service.url)
        assert done.returncode == 1, done.stderr
        failed = by_path(out)["bad.pdf"]
        assert failed["status"] == "failed"
        assert failed["error"]["code"] in ("internal_error", "engine_error")
        assert len(stored(service, status="failed")) == 1


def test_a_service_that_keeps_nothing_is_used_without_its_queue(
    papers: Path, tmp_path: Path
) -> None:
    out = tmp_path / "o.jsonl"
    settings = {"REVIEWER_RETENTION": "none", "SCRIPTED_DELAY_S": "0.05"}
    with ScriptedService(tmp_path / "log", **settings) as service:
        words = (papers, "--out", out, "--url", service.url, "--concurrency", "4")
        running = begin(*words)
        until_it_holds(out, 3, running)
        running.kill()
        running.communicate()
        assert batch(*words).returncode == 0
    assert len(by_path(out)) == 12
    assert {line["status"] for line in lines(out)} == {"completed"}


@pytest.mark.parametrize(
    ("poll", "code", "transient"),
    [
        (accepted("cancelled"), "review_cancelled", False),
        (refused(404, "review_not_found", "review_id"), "review_not_found", True),
        (
            accepted(
                "failed",
                error={
                    "message": "No.",
                    "type": "invalid_request_error",
                    "param": "file",
                    "code": "pdf_no_text",
                },
            ),
            "pdf_no_text",
            False,
        ),
        (
            accepted(
                "failed",
                error={
                    "message": "No.",
                    "type": "service_unavailable_error",
                    "param": None,
                    "code": "engine_died",
                },
            ),
            "engine_died",
            True,
        ),
        (
            accepted(
                "failed",
                error={
                    "message": "No.",
                    "type": "api_error",
                    "param": None,
                    "code": "attempts_exhausted",
                },
            ),
            "attempts_exhausted",
            False,
        ),
    ],
)
def test_a_review_that_ends_without_one(
    tmp_path: Path, poll: Answer, code: str, transient: bool
) -> None:
    papers, out = tiny_papers(tmp_path / "papers", 1), tmp_path / "o.jsonl"
    with StubService(accepted(), polls=(accepted("in_progress"), poll)) as stub:
        assert batch(papers, "--out", out, "--url", stub.url).returncode == 1
        assert len(stub.asked) == 1
    (line,) = lines(out)
    assert (line["status"], line["error"]["code"]) == ("failed", code)
    assert line["transient"] is transient


def test_polls_that_fail_are_repeated(tmp_path: Path) -> None:
    papers, out = tiny_papers(tmp_path / "papers", 1), tmp_path / "o.jsonl"
    busy = refused(429, "rate_limit_exceeded", Retry_After="0")
    away = refused(503, "store_unavailable", Retry_After="0")
    with StubService(accepted(), polls=(busy, away, reviewed())) as stub:
        assert batch(papers, "--out", out, "--url", stub.url).returncode == 0
        assert (len(stub.asked), stub.polled) == (1, 3)


def test_a_queue_that_does_not_move(tmp_path: Path) -> None:
    papers, out = tiny_papers(tmp_path / "papers", 3), tmp_path / "o.jsonl"
    with StubService(accepted(), polls=(accepted(),)) as stub:
        done = batch(papers, "--out", out, "--url", stub.url, "--patience", "3")
        assert done.returncode == 3
        assert re.search(r"no answer for 3 s", done.stderr)
        # Not more than one a second for each paper, although the service answers at once.
        assert stub.polled <= 12
        assert len(stub.cancelled) == 3
    assert not lines(out)
