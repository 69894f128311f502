"""Cost of the store: reading lists and single reviews out of a thousand, and storing a review.

    python -m benchmarks.store [--database URL]

One review by an engine double is copied a thousand times. Then single reviews and pages of twenty,
with and without filters, are requested at random. The clients run in a separate process.

The cost of storing a review is the difference between two routes of one application that take turns
with the same papers: the service's own, and one that calls the same use case without a store.
``--database postgresql`` starts a PostgreSQL database.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from fastapi import Depends, FastAPI, Request, Response, Security
from pydantic import SecretStr
from sqlalchemy import select, text

from app.api.routes.query import only_known_parameters
from app.api.routes.reviews import IdempotencyKey
from app.api.routes.security import bearer_key
from app.api.routes.state import StateDep, TenantDep
from app.api.routes.submission import read_review_submission
from app.async_utils import cancel_on_disconnect
from app.main import create_app
from app.observability.instrument import instrumented
from app.resources.review import review_resource
from app.review.plan import ReviewRules
from app.review.service import ReviewService, finished
from app.settings import Settings
from app.store.storage import Storage
from app.store.tables import ReviewRow
from benchmarks.overhead import serving
from benchmarks.report import Value, report
from tests.doubles import ScriptedEngine, WordTokenizer
from tests.postgres import Postgres

REVIEWS, ASKED, PAIRS = 1000, 500, 400
WORDS = 1500
"""Of a paper's body: about 13 kB, which are stored in a file."""


def paper(number: int) -> dict[str, Any]:
    generator = random.Random(number)  # noqa: S311
    words = " ".join(f"word{generator.randrange(5000)}" for _ in range(WORDS))
    return {"title": f"Paper {number}", "abstract": "A", "body": f"# Introduction\n\n{words}"}


async def fill(storage: Storage, count: int) -> list[str]:
    """Copies of one review, with times one second apart; returns their ids."""
    names = [column.name for column in ReviewRow.__table__.columns]
    changed = {"id": ":id", "created": ":created"}
    copied = ", ".join(changed.get(name, name) for name in names)
    copy = text(
        f"INSERT INTO reviews ({', '.join(names)}) SELECT {copied} FROM reviews WHERE id = :of"  # noqa: S608
    )
    async with storage._database.write() as session:
        of = await session.scalar(select(ReviewRow.id).limit(1))
        ids = [f"rev_{number:032x}" for number in range(count)]
        for number, review_id in enumerate(ids):
            await session.execute(copy, {"id": review_id, "created": 1e9 + number, "of": of})
    return ids


def ask(url: str, paths: Sequence[str]) -> list[float]:
    """In the client's process: milliseconds of each GET."""
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get(paths[0])
        return [_timed(client, "GET", path) for path in paths]


def compare(url: str, count: int) -> list[tuple[float, float]]:
    """In the client's process: milliseconds without and with the store, for each paper."""
    with httpx.Client(base_url=url, timeout=60) as client:
        pairs: list[tuple[float, float]] = []
        for number in range(-count, 0):
            body = paper(number)
            bare_first = number % 2 == 0
            took = {
                route: _timed(client, "POST", route, body)
                for route in (("/bare", "/v1/reviews") if bare_first else ("/v1/reviews", "/bare"))
            }
            pairs.append((took["/bare"], took["/v1/reviews"]))
        return pairs[10:]  # without the first ones, which warm both up


def _timed(
    client: httpx.Client, method: str, path: str, body: dict[str, Any] | None = None
) -> float:
    started = time.perf_counter()
    client.request(method, path, json=body).raise_for_status()
    return 1000 * (time.perf_counter() - started)


def add_bare_route(app: FastAPI, settings: Settings) -> None:
    """A route that makes a review without a store, and otherwise does the same."""
    rules = ReviewRules.load(settings)

    @app.post("/bare", dependencies=[Security(bearer_key), Depends(only_known_parameters)])
    async def bare(
        request: Request, state: StateDep, _: TenantDep, __: IdempotencyKey = None
    ) -> Response:
        service = ReviewService(rules, state.supervisor, state.reader)
        source, parameters = await read_review_submission(request)
        events = instrumented(service.start(source, parameters), state.metrics)
        report = await cancel_on_disconnect(request.receive, finished(events))
        return Response(review_resource(report).model_dump_json(), media_type="application/json")


def percentiles(name: str, took: Sequence[float]) -> dict[str, Value]:
    return {
        "what": name,
        "requests": len(took),
        "p50 ms": round(statistics.median(took), 2),
        "p99 ms": round(sorted(took)[int(0.99 * len(took))], 2),
        "max ms": round(max(took), 2),
    }


async def measure(settings: Settings) -> tuple[list[dict[str, Value]], list[tuple[float, float]]]:
    app = create_app(settings, ScriptedEngine(WordTokenizer()))
    add_bare_route(app, settings)
    loop = asyncio.get_running_loop()
    generator = random.Random(0)  # noqa: S311
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as clients:
        async with serving(app) as url:
            pairs = await loop.run_in_executor(clients, compare, url, PAIRS + 10)
            ids = await fill(app.state.reviewer.storage, REVIEWS)
            sample = [f"/v1/reviews/{generator.choice(ids)}" for _ in range(ASKED)]
            lists = [
                generator.choice(["", "?decision=accept", "?status=completed&order=asc"])
                for _ in range(ASKED)
            ]
            pages = [f"/v1/reviews{query}" for query in lists]
            rows = [
                percentiles("get", await loop.run_in_executor(clients, ask, url, sample)),
                percentiles("list", await loop.run_in_executor(clients, ask, url, pages)),
            ]
    return rows, pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database", help="URL, or 'postgresql' for one of its own")
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = asked.database
        if url == "postgresql":
            url = stack.enter_context(Postgres()).new_database()
        settings = Settings(
            data_dir=folder, database_url=SecretStr(url) if url else None, log_level="error"
        )
        rows, pairs = asyncio.run(measure(settings))
    rows += [
        percentiles("review without a store", [bare for bare, _ in pairs]),
        percentiles("review", [stored for _, stored in pairs]),
    ]
    report(
        "store",
        f"{REVIEWS} reviews, {'PostgreSQL' if url else 'SQLite'}",
        rows,
        added_ms_p50=round(statistics.median(stored - bare for bare, stored in pairs), 2),
        ratio_p50=round(statistics.median(stored / bare for bare, stored in pairs), 3),
        get_ms_p99=rows[0]["p99 ms"],
        list_ms_p99=rows[1]["p99 ms"],
    )


if __name__ == "__main__":
    main()
