"""Cancelling and deleting."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.settings import Settings
from tests.conftest import Serve
from tests.jobs.api import (
    code_of,
    events,
    gated,
    get,
    papers,
    post,
    post_pdf,
    review_of,
    scripted,
)
from tests.waiting import wait_for


def test_cancelling_aborts_in_the_engine(serve: Serve, settings: Settings) -> None:
    engine = gated()
    client = serve(engine, settings)
    review_id = post(client, background=True).json()["id"]
    wait_for(lambda: bool(engine.generations))
    cancelled = review_of(client.post(f"/v1/reviews/{review_id}/cancel"))
    assert cancelled["status"] == "cancelled"
    wait_for(lambda: engine.aborted == 1)
    assert get(client, review_id, wait=20) == cancelled
    assert review_of(client.post(f"/v1/reviews/{review_id}/cancel")) == cancelled
    assert code_of(client.get(f"/v1/reviews/{review_id}/export"), 409) == "review_not_completed"
    assert events(client, review_id)[-1]["error"]["code"] == "review_cancelled"


def test_cancelling_what_another_process_makes(serve: Serve, either: Settings) -> None:
    engine = gated()
    quick = either.model_copy(update={"lease_s": 1.0})
    making = serve(engine, quick)
    other = serve(scripted(), quick.model_copy(update={"background_reviews": 0}))
    review_id = post(making, background=True).json()["id"]
    wait_for(lambda: bool(engine.generations))
    review_of(other.post(f"/v1/reviews/{review_id}/cancel"))
    wait_for(lambda: engine.aborted == 1)
    assert get(making, review_id)["status"] == "cancelled"


def test_cancelling_what_a_client_waits_for(serve: Serve, settings: Settings) -> None:
    engine = gated()
    client = serve(engine, settings)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(post, client)
        wait_for(lambda: bool(engine.generations))
        (running,) = client.get("/v1/reviews?status=in_progress").json()["data"]
        client.post(f"/v1/reviews/{running['id']}/cancel").raise_for_status()
        assert code_of(waiting.result(), 409) == "review_cancelled"
    assert engine.aborted == 1


def test_a_finished_review_cannot_be_cancelled(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(), settings)
    review_id = review_of(post(client))["id"]
    assert code_of(client.post(f"/v1/reviews/{review_id}/cancel"), 409) == "review_finished"


def test_deleting_takes_row_and_paper(serve: Serve, settings: Settings, data_dir: Path) -> None:
    client = serve(scripted(), settings)
    first = review_of(post_pdf(client))["id"]
    second = review_of(post_pdf(client, reuse="false"))["id"]
    assert client.delete(f"/v1/reviews/{first}").json() == {
        "id": first,
        "object": "review.deleted",
        "deleted": True,
    }
    assert code_of(client.get(f"/v1/reviews/{first}"), 404) == "review_not_found"
    assert papers(data_dir)
    client.delete(f"/v1/reviews/{second}").raise_for_status()
    assert not papers(data_dir)


def test_deleting_ends_what_is_made(serve: Serve, settings: Settings, data_dir: Path) -> None:
    engine = gated()
    client = serve(engine, settings)
    review_id = post_pdf(client, background="true").json()["id"]
    wait_for(lambda: bool(engine.generations))
    client.delete(f"/v1/reviews/{review_id}").raise_for_status()
    wait_for(lambda: engine.aborted == 1)
    assert not papers(data_dir)
    assert client.get("/v1/reviews").json()["data"] == []
