"""Whatever ends of what the service depends on, somebody learns of it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest

from app.engine.base import Engine
from app.engine.supervisor import Supervisor
from app.main import create_app
from app.settings import Settings
from app.tasks import repeat
from tests.doubles import ScriptedEngine, WordTokenizer

pytestmark = pytest.mark.anyio

TASKS = {
    "run the engine",
    "watch over the database",
    "removal of old reviews",
    "claiming of reviews",
    "wait for the service's end",
    "renewal of claims",
    "look at other processes' reviews",
}

PARTS = {"wait for the engine's death", "wait for a hang of the engine"}
"""Of the engine's task, which ends by how one of them ends."""


@asynccontextmanager
async def running() -> AsyncGenerator[tuple[httpx.AsyncClient, dict[str, asyncio.Task[object]]]]:
    """The service, ready, and the tasks that it has begun."""
    before = asyncio.all_tasks()
    app = create_app(Settings(), ScriptedEngine(WordTokenizer()))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            while (await client.get("/readyz")).is_error:
                await asyncio.sleep(0)
            begun = asyncio.all_tasks() - before
            yield client, {task.get_name(): task for task in begun}


async def test_no_task_is_begun_unwatched() -> None:
    async with running() as (client, tasks):
        assert set(tasks) >= TASKS
        steps = [task for name, task in tasks.items() if name not in TASKS | PARTS]
        with anyio.fail_after(10):
            await asyncio.gather(*steps)  # a step of one of them, which ends by itself
        assert (await client.get("/livez")).json() == {"status": "ok"}


@pytest.mark.parametrize("name", sorted(TASKS))
async def test_livez_fails_once_a_task_has_ended(name: str) -> None:
    async with running() as (client, tasks):
        tasks[name].cancel()
        await asyncio.wait([tasks[name]])
        await asyncio.sleep(0)
        answer = await client.get("/livez")
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "task_ended"
        assert name in answer.json()["error"]["message"]


async def test_a_duty_that_fails_is_done_again() -> None:
    over, tries = asyncio.Event(), itertools.count(1)

    async def duty() -> None:
        if next(tries) == 1:
            raise KeyError("id")
        over.set()

    with anyio.fail_after(10):
        await repeat(duty, 0, over)
    assert next(tries) == 3


async def test_an_engine_that_cannot_be_watched_or_closed_is_replaced() -> None:
    class Odd(ScriptedEngine):
        async def died(self) -> str:
            await self.death.wait()
            raise KeyError("id")

        async def close(self) -> None:
            await super().close()
            raise OSError("closing failed")

    engines: list[ScriptedEngine] = []

    async def launch() -> Engine:
        kind = ScriptedEngine if engines else Odd
        engines.append(kind(WordTokenizer()))
        return engines[-1]

    supervisor = Supervisor(launch)
    await supervisor.start()
    await supervisor.ready()
    engines[0].death.set()
    with anyio.fail_after(5):
        while len(engines) < 2 or supervisor.unready:
            await anyio.sleep(0.01)
    supervisor.tasks.check()
    assert engines[0].closed
    await supervisor.stop()
