"""A database that goes away."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr

from app.settings import Settings
from tests.conftest import Serve
from tests.jobs.api import (
    TEXT,
    code_of,
    gated,
    get,
    post,
    review_of,
    scripted,
)
from tests.postgres import Postgres
from tests.waiting import wait_for


@pytest.fixture
def own_postgres() -> Any:
    """One that a test may stop."""
    with Postgres() as running:
        yield running


def test_a_database_that_goes_away_and_comes_back(serve: Serve, own_postgres: Postgres) -> None:
    engine = gated()
    settings = Settings(
        database_url=SecretStr(own_postgres.new_database()), shutdown_delay_s=0, shutdown_grace_s=0
    )
    client = serve(engine, settings)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(lambda: client.post("/v1/reviews", json=TEXT, timeout=60))
        wait_for(lambda: bool(engine.generations))
        own_postgres.stop()
        unavailable = post(client)
        assert code_of(unavailable, 503) == "store_unavailable"
        assert unavailable.headers["retry-after"] == "5"
        for path in ("/v1/reviews", "/v1/reviews/rev_x"):
            assert code_of(client.get(path), 503) == "store_unavailable"
        wait_for(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/readyz").json()["error"]["code"] == "store_unavailable"
        assert client.get("/livez").is_success
        assert "reviewer_unfinished_reviews{" not in client.get("/metrics").raise_for_status().text
        # The review that was being made is answered all the same,
        engine.gate.set()
        answered = review_of(waiting.result())
    own_postgres.start()
    wait_for(lambda: client.get("/readyz").is_success)
    # and written down when that is possible again.
    wait_for(lambda: client.get(f"/v1/reviews/{answered['id']}").json()["status"] == "completed")
    assert get(client, answered["id"]) == answered
    assert review_of(post(client, reuse=False))


def test_a_database_that_is_not_there_at_the_start(serve: Serve, own_postgres: Postgres) -> None:
    url = own_postgres.new_database()
    own_postgres.stop()
    with ThreadPoolExecutor(1) as threads:
        # It waits until the service is ready.
        starting = threads.submit(serve, scripted(), Settings(database_url=SecretStr(url)))
        time.sleep(0.5)
        assert not starting.done()
        own_postgres.start()
        client = starting.result()
    assert review_of(post(client))
