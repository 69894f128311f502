"""Engines with an upstream, for tests."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import Any

from app.engine.base import Delta, Generation, ServedModel
from app.engine.tokenizer import ChatTokenizer
from app.engine.upstream import UpstreamEngine
from app.engine.upstream_connection import UpstreamConnection
from app.errors import (
    ConstraintFailed,
)
from app.settings import Settings
from tests.engine.stub import (
    Upstream,
)
from tests.engine.test_engines import ASK


def settings_for(url: str, **more: Any) -> Settings:
    return Settings(engine="upstream", upstream_url=url, **more)


def engine_for(stub: Upstream, tokenizer: ChatTokenizer) -> UpstreamEngine:
    """As it is launched, but with a tokenizer that is loaded already; looked at all the time."""
    connection = UpstreamConnection(settings_for(stub.url), check_s=0)
    return UpstreamEngine(connection, ServedModel("smollm2", 8192, 512), tokenizer)


CONSTRAINED = replace(ASK, structure={"type": "structural_tag", "format": {"type": "any_text"}})


async def until_it_fails(
    engine: UpstreamEngine, request: Generation
) -> tuple[list[Delta], ConstraintFailed]:
    written: list[Delta] = []
    try:
        async with aclosing(engine.generate(request)) as deltas:
            async for delta in deltas:
                written.append(delta)  # noqa: PERF401  # what came before the failure is kept
    except ConstraintFailed as failure:
        return written, failure
    raise AssertionError("it was held to the end")
