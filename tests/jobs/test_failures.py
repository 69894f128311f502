"""Whoever fails pays, and nobody else: background reviews around an engine double that dies."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import (
    EngineDied,
    EngineError,
    EngineOverloaded,
    FetchFailed,
    ReviewerError,
    UpstreamError,
)
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import KILLS, WHOLE_REVIEW, ScriptedEngine
from tests.jobs.api import (
    SLOW,
    code_of,
    gated,
    get,
    papers,
    post,
    post_pdf,
    review_of,
    scripted,
)
from tests.waiting import wait_for

Json = dict[str, Any]
POISON = {"body": f"# Introduction\n\n{KILLS}"}


@pytest.fixture
def settings() -> Settings:
    return Settings(max_attempts=2, shutdown_delay_s=0, shutdown_grace_s=0)


def background(client: httpx.Client, **asked: Any) -> str:
    accepted = post(client, background=True, reuse=False, **asked)
    assert accepted.status_code == 202, accepted.text
    review_id: str = accepted.json()["id"]
    return review_id


def ended(client: httpx.Client, review_id: str) -> Json:
    return get(client, review_id, wait=60)


def test_a_poison_review_fails_alone(serve: Serve, settings: Settings) -> None:
    engine = scripted(delay_s=0.02)
    client = serve(engine, settings)
    good = [background(client, title=f"Good {number}") for number in range(3)]
    poison = background(client, **POISON)
    good += [background(client, title=f"Good {number}") for number in range(3, 7)]
    failed = ended(client, poison)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "attempts_exhausted")
    assert {ended(client, review_id)["status"] for review_id in good} == {"completed"}
    # Once among others, and then each of its attempts alone.
    assert engine.deaths == 1 + settings.max_attempts


def test_a_lone_review_that_kills_every_engine_ends(serve: Serve, settings: Settings) -> None:
    engine = scripted()
    client = serve(engine, settings)
    assert ended(client, background(client, **POISON))["error"]["code"] == "attempts_exhausted"
    assert engine.deaths == 1 + settings.max_attempts


def test_a_poison_that_a_client_waits_for_costs_no_background_review(
    serve: Serve, settings: Settings
) -> None:
    """However often the client sends it: it never is in the engine beside a suspect."""
    engine = scripted(delay_s=0.05)
    client = serve(engine, settings)
    waiting = [background(client, title=f"Good {number}") for number in range(4)]
    wait_for(lambda: len(engine.generations) == 4)
    refused = [post(client, **POISON, reuse=False) for _ in range(6)]
    for response in refused:
        assert code_of(response, 503) in ("engine_died", "engine_unavailable")
    assert {ended(client, review_id)["status"] for review_id in waiting} == {"completed"}


def test_clients_that_wait_are_served_between_suspects(serve: Serve, settings: Settings) -> None:
    engine = scripted(delay_s=0.05)
    client = serve(engine, settings)
    poison = background(client, **POISON)
    good = [background(client, title=f"Good {number}") for number in range(3)]
    wait_for(lambda: engine.deaths > 0)
    wait_for(lambda: client.get("/readyz").is_success)
    assert review_of(post(client, title="Waited for"))["status"] == "completed"
    assert {ended(client, review_id)["status"] for review_id in good} == {"completed"}
    assert ended(client, poison)["status"] == "failed"


def test_an_engine_that_hangs_costs_nobody(serve: Serve, settings: Settings) -> None:
    engine = scripted(delay_s=SLOW)
    client = serve(engine, settings.model_copy(update={"engine_hang_s": 0.3}))
    with ThreadPoolExecutor(1) as threads:
        ids = [background(client, title=f"Paper {number}") for number in range(3)]
        waiting = threads.submit(post, client, title="Waited for")
        wait_for(lambda: len(engine.generations) == 4)
        engine.hangs, engine.delay_s = True, 0
        assert code_of(waiting.result(), 503) == "engine_died"
    assert {ended(client, review_id)["status"] for review_id in ids} == {"completed"}
    assert engine.deaths == 1
    assert client.get("/livez").is_success


class Sick(ScriptedEngine):
    """Fails on whatever it is asked while ``sick``, as an upstream does whose backend is gone, or
    whose proxy answers with pages of its own."""

    sick = True
    says = ""

    async def generate(self, request: Any) -> Any:
        if self.sick and (request.request_id != "first-answer" or self.generations):
            self.generations.append(request)
            raise UpstreamError(self.says)
        async for delta in super().generate(request):
            yield delta


@pytest.mark.parametrize(
    "says", ["The upstream answers 502.", "The upstream's answer is not a chat completion."]
)
def test_an_upstream_that_is_out_for_a_while_costs_nobody(
    serve: Serve, settings: Settings, says: str
) -> None:
    engine = Sick(scripted().tokenizer)
    engine.says = says
    client = serve(engine, settings)
    ids = [background(client, title=f"Paper {number}") for number in range(4)]
    # The question before each suspect's turn fails as well: none of them is tried.
    wait_for(lambda: len(engine.generations) >= 8, 30)
    assert all(get(client, review_id)["status"] != "failed" for review_id in ids)
    engine.sick = False
    assert {ended(client, review_id)["status"] for review_id in ids} == {"completed"}


@pytest.mark.parametrize(
    "error",
    [
        UpstreamError("The upstream's answer is not a chat completion."),
        EngineError("The engine failed on this request."),
        EngineOverloaded("The engine's queue is full."),
        FetchFailed("The paper could not be fetched."),
        ValueError("a fault of ours"),
    ],
)
def test_what_may_pass_is_tried_again(serve: Serve, settings: Settings, error: Exception) -> None:
    client = serve(scripted(texts=[error, WHOLE_REVIEW]), settings)
    done = ended(client, background(client))
    assert done["status"] == "completed"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UpstreamError("The upstream's answer is not a chat completion."), "attempts_exhausted"),
        (EngineError("The engine failed on this request."), "engine_error"),
        (EngineDied("The engine died."), "attempts_exhausted"),
    ],
)
def test_what_does_not_pass_ends_with_its_reason(
    serve: Serve, settings: Settings, error: ReviewerError, code: str
) -> None:
    client = serve(scripted(texts=[error]), settings)
    failed = ended(client, background(client))
    assert failed["error"]["code"] == code
    assert error.message in failed["error"]["message"]


def test_the_folder_of_papers_goes_away_and_comes_back(
    serve: Serve, settings: Settings, data_dir: Path
) -> None:
    folder, elsewhere = data_dir / "papers", data_dir / "elsewhere"
    engine = scripted(delay_s=SLOW)
    client = serve(engine, settings.model_copy(update={"background_reviews": 1}))
    first = post_pdf(client, background="true").json()["id"]
    wait_for(lambda: bool(engine.generations))
    ids = [post_pdf(client, background="true", reuse="false").json()["id"] for _ in range(4)]
    folder.rename(elsewhere)
    folder.mkdir()  # an empty mount point
    engine.delay_s = 0
    wait_for(lambda: client.get("/readyz").status_code == 503)
    assert client.get("/readyz").json()["error"]["code"] == "store_unavailable"
    assert code_of(post_pdf(client, reuse="false"), 503) == "store_unavailable"
    assert ended(client, first)["status"] == "completed"
    assert {get(client, review_id)["status"] for review_id in ids} == {"queued"}
    folder.rmdir()
    elsewhere.rename(folder)
    assert {ended(client, review_id)["status"] for review_id in ids} == {"completed"}
    wait_for(lambda: client.get("/readyz").is_success)


def test_a_file_where_the_folder_was(serve: Serve, settings: Settings, data_dir: Path) -> None:
    taking = serve(scripted(), settings.model_copy(update={"background_reviews": 0}))
    ids = [post_pdf(taking, background="true", reuse="false").json()["id"] for _ in range(3)]
    folder, elsewhere = data_dir / "papers", data_dir / "elsewhere"
    client = serve(scripted(delay_s=0.2), settings.model_copy(update={"background_reviews": 1}))
    folder.rename(elsewhere)
    folder.write_text("not a folder")
    wait_for(lambda: client.get("/readyz").status_code == 503)
    folder.unlink()
    elsewhere.rename(folder)
    assert {ended(client, review_id)["status"] for review_id in ids} == {"completed"}


def test_a_folder_that_is_not_mounted_at_the_start(
    serve: Serve, settings: Settings, data_dir: Path
) -> None:
    taking = serve(scripted(), settings.model_copy(update={"background_reviews": 0}))
    review_id = post_pdf(taking, background="true").json()["id"]
    folder, elsewhere = data_dir / "papers", data_dir / "elsewhere"
    folder.rename(elsewhere)
    with ThreadPoolExecutor(1) as threads:
        starting = threads.submit(serve, scripted(), settings)  # waits until it is ready
        wait_for(lambda: taking.get("/readyz").status_code == 503)
        assert not starting.done()
        assert not folder.exists()
        elsewhere.rename(folder)
        client = starting.result()
    assert ended(client, review_id)["status"] == "completed"


def test_one_paper_that_is_missing_is_that_reviews(
    serve: Serve, settings: Settings, data_dir: Path
) -> None:
    taking = serve(scripted(), settings.model_copy(update={"background_reviews": 0}))
    missing = post_pdf(taking, background="true").json()["id"]
    (stored,) = papers(data_dir)
    there = background(taking)
    stored.unlink()
    client = serve(scripted(), settings)
    assert ended(client, missing)["error"]["code"] == "paper_not_stored"
    assert ended(client, there)["status"] == "completed"
    assert client.get("/readyz").is_success


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("stands_still", [False, True])
def test_a_client_whose_process_was_taken_for_dead_is_answered_so(
    serve: Serve, settings: Settings, data_dir: Path, *, stream: bool, stands_still: bool
) -> None:
    """Another process has ended its review. Its own notices by its result, or before."""
    engine = gated()
    client = serve(engine, settings.model_copy(update={"lease_s": 600 if stands_still else 3}))
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(post, client, stream=stream)
        wait_for(lambda: bool(engine.generations))
        with closing(sqlite3.connect(data_dir / "reviews.db")) as database, database:
            database.execute("UPDATE reviews SET lease_until = 0, owner = 'a dead process'")
        other = serve(scripted(), settings.model_copy(update={"lease_s": 1}))
        wait_for(lambda: bool(other.get("/v1/reviews?status=failed").json()["data"]))
        (failed,) = other.get("/v1/reviews").json()["data"]
        if stands_still:
            engine.gate.set()
        answer = waiting.result()
    assert failed["error"]["code"] == "interrupted"
    assert failed["id"] in failed["error"]["message"]
    if stream:
        told = [line for line in answer.text.splitlines() if line.startswith("data: ")]
        error = json.loads(told[-1].removeprefix("data: "))["error"]
        assert error == {**failed["error"], "request_id": error.get("request_id")}
    else:
        assert code_of(answer, 503) == "interrupted"
        assert answer.json()["error"]["message"] == failed["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_whose_review_is_deleted_elsewhere(
    serve: Serve, settings: Settings, *, stream: bool
) -> None:
    engine = gated()
    client = serve(engine, settings.model_copy(update={"lease_s": 1}))
    other = serve(scripted(), settings)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(post, client, stream=stream)
        wait_for(lambda: bool(engine.generations))
        (made,) = other.get("/v1/reviews").json()["data"]
        assert other.delete(f"/v1/reviews/{made['id']}").is_success
        answer = waiting.result()
    if stream:
        assert '"review_cancelled"' in answer.text.rpartition("event: ")[2]
    else:
        assert code_of(answer, 409) == "review_cancelled"


def change_rows(data_dir: Path, change: Callable[[Json], Json]) -> None:
    with closing(sqlite3.connect(data_dir / "reviews.db")) as database, database:
        rows = database.execute("SELECT id, parameters FROM reviews").fetchall()
        for review_id, parameters in rows:
            changed = json.dumps(change(json.loads(parameters)))
            database.execute("UPDATE reviews SET parameters = ? WHERE id = ?", (changed, review_id))


FIRST_FORM = {
    "blind": True,
    "model": None,
    "mode": "review",
    "template": "default",
    "format": None,
    "temperature": 0.4,
    "top_p": None,
    "max_tokens": 300,
    "seed": None,
    "samples": 2,
    "check_injection": False,
    "stream": True,
    "background": True,
    "reuse": True,
}
"""As the code of November 2026 wrote it, before what is stored had a number of its own."""


def test_a_row_of_before_is_read(serve: Serve, settings: Settings, data_dir: Path) -> None:
    taking = serve(scripted(), settings.model_copy(update={"background_reviews": 0}))
    review_id = background(taking)
    change_rows(data_dir, lambda _: FIRST_FORM)
    engine = scripted()
    client = serve(engine, settings)
    assert ended(client, review_id)["status"] == "completed"
    (asked,) = engine.generations
    assert (asked.n, asked.temperature, asked.max_tokens) == (2, 0.4, 300)


def test_a_background_review_gets_what_was_asked_for(serve: Serve, settings: Settings) -> None:
    asked = {"top_k": 7, "top_p": 0.5, "temperature": 0.3, "seed": 3, "max_tokens": 300}
    asked["repetition_penalty"] = 1.2
    engine = scripted()
    client = serve(engine, settings)
    assert ended(client, background(client, **asked))["status"] == "completed"
    (generation,) = engine.generations
    assert {name: getattr(generation, name) for name in asked} == asked


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: {**stored, "version": 99},
        lambda stored: {**stored, "reviewers": 3},
        lambda _: {"version": 2},
        lambda stored: {**stored, "mode": "poem"},
        lambda stored: {**stored, "samples": 1000},
    ],
)
def test_what_cannot_be_read_any_more_fails_once(
    serve: Serve, settings: Settings, data_dir: Path, change: Callable[[Json], Json]
) -> None:
    taking = serve(scripted(), settings.model_copy(update={"background_reviews": 0}))
    review_id = background(taking)
    change_rows(data_dir, change)
    engine = scripted()
    client = serve(engine, settings)
    failed = ended(client, review_id)
    assert (failed["status"], failed["error"]["code"]) == ("failed", "stored_request_unreadable")
    assert not engine.generations
    attempts = client.get(f"/v1/reviews/{review_id}?stream=true").text.count("event: ")
    assert attempts == 1


def test_a_stored_text_that_cannot_be_read_any_more(
    serve: Serve, settings: Settings, data_dir: Path
) -> None:
    taking = serve(scripted(), settings.model_copy(update={"background_reviews": 0}))
    review_id = background(taking)
    (stored,) = papers(data_dir)
    stored.write_text('{"heading": "of another form"}')
    client = serve(scripted(), settings)
    assert ended(client, review_id)["error"]["code"] == "stored_request_unreadable"
