"""Who is in the engine beside whom."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from app.engine.gate import EngineGate

pytestmark = pytest.mark.anyio

LONG_S = 60.0


async def test_side_by_side_and_alone() -> None:
    gate, inside = EngineGate(), [0, 0]
    most = [0, 0]

    async def go(alone: int) -> None:
        async with gate.alone(LONG_S) if alone else gate.shared():
            inside[alone] += 1
            most[alone] = max(most[alone], inside[alone])
            assert not alone or inside == [0, 1]
            await asyncio.sleep(0)
            inside[alone] -= 1

    await asyncio.gather(*(go(alone=int(number % 5 == 4)) for number in range(50)))
    assert most[1] == 1
    assert most[0] > 1


async def test_whoever_asks_later_waits_for_the_one_that_is_to_be_alone() -> None:
    gate, order = EngineGate(), []

    async def alone() -> None:
        async with gate.alone(LONG_S):
            order.append("alone")

    async def shared() -> None:
        async with gate.shared():
            order.append("shared")

    async with AsyncExitStack() as first:
        await first.enter_async_context(gate.shared())
        waiting = asyncio.create_task(alone())
        await asyncio.sleep(0)
        later = asyncio.create_task(shared())
        await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(waiting, later)
    assert order == ["alone", "shared"]


async def test_one_that_never_leaves_keeps_only_those_waiting_that_want_to_be_alone() -> None:
    gate = EngineGate()
    async with gate.shared():
        with pytest.raises(TimeoutError):
            async with gate.alone(0.01):
                raise AssertionError("it is not empty")
        async with asyncio.timeout(LONG_S), gate.shared():
            pass


async def test_one_that_leaves_while_it_waits_keeps_nobody() -> None:
    gate = EngineGate()
    async with gate.shared():
        waiting = asyncio.create_task(gate.alone(LONG_S).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(LONG_S), gate.shared():
            pass
