"""Starting, dying, starting again: engine doubles under the real supervisor."""

from __future__ import annotations

import time

import anyio
import pytest

from app.engine.base import Engine
from app.engine.supervisor import Supervisor
from app.engine.tokenizer import ChatTokenizer
from app.errors import ConfigurationError, EngineUnavailable, ModelNotStarted
from tests.doubles import ScriptedEngine

pytestmark = pytest.mark.anyio


async def test_it_is_ready_once_the_model_has_answered(tokenizer: ChatTokenizer) -> None:
    engine, allowed = ScriptedEngine(tokenizer), anyio.Event()

    async def launch() -> Engine:
        await allowed.wait()
        return engine

    supervisor = Supervisor(launch)
    with pytest.raises(EngineUnavailable, match="not been started"):
        supervisor.engine()
    await supervisor.start()
    with pytest.raises(EngineUnavailable, match="loading"):
        supervisor.engine()
    allowed.set()
    await supervisor.ready()
    assert supervisor.engine() is engine
    await supervisor.stop()
    assert engine.closed
    with pytest.raises(EngineUnavailable, match="stopping"):
        supervisor.engine()


async def test_a_dead_engine_is_closed_and_another_started(tokenizer: ChatTokenizer) -> None:
    engines: list[ScriptedEngine] = []

    async def launch() -> Engine:
        engines.append(ScriptedEngine(tokenizer))
        return engines[-1]

    supervisor = Supervisor(launch)
    await supervisor.start()
    await supervisor.ready()
    engines[0].death.set()
    with anyio.fail_after(5):
        while len(engines) < 2 or supervisor.unready:
            await anyio.sleep(0.01)
    assert engines[0].closed
    assert supervisor.engine() is engines[1]
    await supervisor.stop()


async def test_a_failed_start_is_told_and_tried_again(tokenizer: ChatTokenizer) -> None:
    tries = 0

    async def launch() -> Engine:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise OSError("the cable is out")
        return ScriptedEngine(tokenizer)

    supervisor = Supervisor(launch)
    await supervisor.start()
    with pytest.raises(ModelNotStarted, match="the cable is out"):
        await supervisor.ready()
    with pytest.raises(EngineUnavailable, match="model_not_started"):
        supervisor.engine()
    with anyio.fail_after(5):
        while supervisor.unready:
            await anyio.sleep(0.01)
    assert tries == 2
    await supervisor.stop()


async def test_what_cannot_pass_is_not_tried_again() -> None:
    tries = 0

    async def launch() -> Engine:
        nonlocal tries
        tries += 1
        raise ConfigurationError("no such model")

    supervisor = Supervisor(launch)
    await supervisor.start()
    with pytest.raises(ModelNotStarted, match="no such model"):
        await supervisor.ready()
    assert supervisor.given_up.is_set()
    supervisor.tasks.check()
    assert tries == 1
    await supervisor.stop()


async def test_stopping_while_it_loads_closes_what_was_loaded(tokenizer: ChatTokenizer) -> None:
    engine, loading, allowed = ScriptedEngine(tokenizer), anyio.Event(), anyio.Event()

    async def launch() -> Engine:
        loading.set()
        await allowed.wait()
        return engine

    supervisor = Supervisor(launch)
    await supervisor.start()
    await loading.wait()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(supervisor.stop)
        await anyio.sleep(0.05)
        allowed.set()
    assert engine.closed


async def test_an_engine_that_hangs_is_ended_and_another_started(tokenizer: ChatTokenizer) -> None:
    engines: list[ScriptedEngine] = []

    async def launch() -> Engine:
        engines.append(ScriptedEngine(tokenizer))
        return engines[-1]

    supervisor = Supervisor(launch, hang_s=0.1)
    await supervisor.start()
    await supervisor.ready()
    engines[0].hangs = True
    with anyio.fail_after(10):
        while len(engines) < 2 or supervisor.unready:
            await anyio.sleep(0.01)
    assert engines[0].closed
    assert supervisor.engine() is engines[1]
    await supervisor.stop()


async def test_an_engine_that_stood_still_with_the_whole_service_is_left_alone(
    tokenizer: ChatTokenizer,
) -> None:
    """As in a container that was paused for longer than an engine may do nothing."""
    engine = ScriptedEngine(tokenizer)

    async def launch() -> Engine:
        return engine

    supervisor = Supervisor(launch, hang_s=1)
    await supervisor.start()
    await supervisor.ready()
    engine.hangs, looks = True, engine.looked_at
    with anyio.fail_after(10):
        while engine.looked_at == looks:
            await anyio.sleep(0.01)
    time.sleep(1.5)  # noqa: ASYNC251  # this is the pause
    engine.hangs = False
    with anyio.fail_after(10):
        while engine.looked_at < looks + 2:
            await anyio.sleep(0.01)
    assert not engine.closed
    await supervisor.stop()


async def test_an_engine_that_never_answers_has_not_started(tokenizer: ChatTokenizer) -> None:
    engine = ScriptedEngine(tokenizer)
    engine.hangs = True

    async def launch() -> Engine:
        return engine

    supervisor = Supervisor(launch, first_answer_s=0.1)
    await supervisor.start()
    with pytest.raises(ModelNotStarted, match="not answered a short request"):
        await supervisor.ready()
    with anyio.fail_after(10):
        while supervisor.unready:  # closing it has woken it up
            await anyio.sleep(0.01)
    await supervisor.stop()
