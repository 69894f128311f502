"""Background reviews while the service is killed (kill -9) at random moments.

    python -m benchmarks.crash [--database URL] [--real-model] [--reviews 100] [--kills 20]
    python -m benchmarks.crash --double-claims [--database URL]

The service is a separate process with an engine double with small delays, or with the embedded
model. It is killed and started again, and at the end all reviews are requested over HTTP. A trigger
in the database counts how often each review was completed, to show that no result was written
twice.

With --double-claims, two service processes share one database and 2,000 reviews without delay.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr
from sqlalchemy import text

from app.settings import Settings
from app.store.storage import Storage
from benchmarks.report import Value, report
from tests.postgres import Postgres
from tests.service import SMALL, ScriptedService, Service

LEASE_S = 2.0
GIVEN_UP_S = 900.0
_LOG = """CREATE TABLE completions (id TEXT NOT NULL, attempt INTEGER NOT NULL)"""
_TRIGGERS = {
    "sqlite": [
        """CREATE TRIGGER completed AFTER UPDATE OF status ON reviews
           WHEN NEW.status = 'completed'
           BEGIN INSERT INTO completions VALUES (NEW.id, NEW.attempt); END"""
    ],
    "postgresql": [
        """CREATE FUNCTION log_completion() RETURNS trigger AS $$
           BEGIN INSERT INTO completions VALUES (NEW.id, NEW.attempt); RETURN NEW; END
           $$ LANGUAGE plpgsql""",
        """CREATE TRIGGER completed AFTER UPDATE OF status ON reviews FOR EACH ROW
           WHEN (NEW.status = 'completed') EXECUTE FUNCTION log_completion()""",
    ],
}


async def watch_completions(settings: Settings, database: str) -> None:
    """Create the tables, with a trigger that logs every completion of a review."""
    storage = Storage(settings)
    await storage.start()
    async with storage._database.write() as session:
        for statement in (_LOG, *_TRIGGERS[database]):
            await session.execute(text(statement))
    await storage.stop()


async def count_completions(settings: Settings) -> tuple[int, int, int]:
    """The numbers of completed reviews, of repeated completions, and of attempts."""
    storage = Storage(settings)
    await storage.start()
    async with storage._database.read() as session:
        once = await session.scalar(text("SELECT count(DISTINCT id) FROM completions"))
        all_of = await session.scalar(text("SELECT count(*) FROM completions"))
        attempts = await session.scalar(text("SELECT sum(attempt) FROM reviews"))
    await storage.stop()
    return int(once or 0), int(all_of or 0) - int(once or 0), int(attempts or 0)


def body(number: int) -> dict[str, Any]:
    """A different paper for each review."""
    told = f"# Introduction\n\nWe count the tokens of {number}."
    return {"title": f"Paper {number}", "abstract": "A", "body": told, "background": True}


def hand_in(client: httpx.Client, number: int, ids: list[str]) -> None:
    """Send a background review with an idempotency key, so that it can be sent again."""
    key = {"Idempotency-Key": f"paper {number}"}
    with contextlib.suppress(httpx.TransportError):
        response = client.post("/v1/reviews", json=body(number), headers=key)
        if response.is_success:
            ids.append(response.json()["id"])


def ended(client: httpx.Client) -> int:
    """The number of reviews that have ended."""
    return sum(len(everything(client, status)) for status in ("completed", "failed", "cancelled"))


def everything(client: httpx.Client, status: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, str | int] = {"status": status, "limit": 100}
    while True:
        page = client.get("/v1/reviews", params=query).raise_for_status().json()
        found += page["data"]
        if not page["has_more"]:
            return found
        query["cursor"] = page["next"]


def crash(
    folder: Path,
    database_url: str | None,
    *,
    reviews: int,
    kills: int,
    delay_s: float,
    real_model: bool = False,
    longest_s: float = 3.0,
    seed: int = 0,
) -> dict[str, Value]:
    """Send reviews, kill and restart the service until all accepted reviews have ended.

    The service is killed at most ``longest_s`` after it is ready.
    """
    settings = Settings(
        data_dir=folder / "data",
        database_url=SecretStr(database_url) if database_url else None,
    )
    asyncio.run(watch_completions(settings, "postgresql" if database_url else "sqlite"))
    environment = {
        "REVIEWER_LEASE_S": str(LEASE_S),
        "REVIEWER_MAX_ATTEMPTS": str(kills + 2),
        **({"REVIEWER_DATABASE_URL": database_url} if database_url else {}),
        **({**SMALL} if real_model else {"SCRIPTED_DELAY_S": str(delay_s)}),
    }
    generator = random.Random(seed)  # noqa: S311
    ids: list[str] = []
    began = time.monotonic()
    for life in range(kills + 1):
        service = (Service if real_model else ScriptedService)(folder / "log", **environment)
        service.wait()
        with httpx.Client(base_url=service.url, timeout=30) as client:
            dies = time.monotonic() + generator.uniform(0, longest_s)
            while len(ids) < reviews and (life == kills or time.monotonic() < dies):
                hand_in(client, len(ids), ids)
            if life < kills:
                time.sleep(max(0.0, dies - time.monotonic()))
                service.process.kill()
                service.process.wait()
                continue
            ends = time.monotonic() + GIVEN_UP_S
            while ended(client) < reviews and time.monotonic() < ends:
                time.sleep(0.2)
            completed = {one["id"] for one in everything(client, "completed")}
            whole = sum(
                client.get(f"/v1/reviews/{one}").json()["text"] is not None for one in completed
            )
        service.stop()
    _, twice, attempts = asyncio.run(count_completions(settings))
    return {
        "database": "postgresql" if database_url else "sqlite",
        "engine": "SmolLM2-135M" if real_model else "double",
        "kills": kills,
        "accepted": len(set(ids)),
        "completed": len(completed & set(ids)),
        "with their text": whole,
        "written twice": twice,
        "begun again": attempts - len(set(ids)),
        "seconds": round(time.monotonic() - began, 1),
    }


def double_claims(folder: Path, database_url: str | None, reviews: int) -> dict[str, Value]:
    """Two processes with one queue."""
    settings = Settings(
        data_dir=folder / "data",
        database_url=SecretStr(database_url) if database_url else None,
    )
    asyncio.run(watch_completions(settings, "postgresql" if database_url else "sqlite"))
    url = {"REVIEWER_DATABASE_URL": database_url} if database_url else {}
    queue = {**url, "SCRIPTED_DELAY_S": "0", "REVIEWER_BACKGROUND_REVIEWS": "0"}
    with (
        ScriptedService(folder / "log", **queue) as taking,
        httpx.Client(base_url=taking.url, timeout=30) as client,
    ):
        ids: list[str] = []
        for number in range(reviews):
            hand_in(client, number, ids)
        began = time.monotonic()
        both = {**queue, "REVIEWER_BACKGROUND_REVIEWS": "16"}
        logs = folder / "log-1", folder / "log-2"
        with ScriptedService(logs[0], **both), ScriptedService(logs[1], **both):
            while (
                client.get("/v1/reviews?status=queued&limit=1").json()["data"]
                or client.get("/v1/reviews?status=in_progress&limit=1").json()["data"]
            ):
                time.sleep(0.2)
                assert time.monotonic() - began < GIVEN_UP_S
            took = time.monotonic() - began
    completed, twice, attempts = asyncio.run(count_completions(settings))
    return {
        "database": "postgresql" if database_url else "sqlite",
        "processes": 2,
        "accepted": len(set(ids)),
        "completed": completed,
        "written twice": twice,
        "begun more than once": attempts - len(set(ids)),
        "seconds": round(took, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database", help="URL, or 'postgresql' for one of its own")
    parser.add_argument("--real-model", action="store_true")
    parser.add_argument("--double-claims", action="store_true")
    parser.add_argument("--reviews", type=int)
    parser.add_argument("--kills", type=int, default=20)
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = asked.database
        if url == "postgresql":
            url = stack.enter_context(Postgres()).new_database()
        if asked.double_claims:
            found = double_claims(folder, url, asked.reviews or 2000)
        else:
            found = crash(
                folder,
                url,
                reviews=asked.reviews or 100,
                kills=asked.kills,
                delay_s=0.15,
                real_model=asked.real_model,
                longest_s=20.0 if asked.real_model else 6.0,
            )
    results: dict[str, Value] = {name.replace(" ", "_"): value for name, value in found.items()}
    report("crash", "kill -9" if not asked.double_claims else "two processes", [found], **results)


if __name__ == "__main__":
    main()
