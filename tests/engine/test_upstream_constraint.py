"""What an upstream answers to a constrained request may be tried without the constraint."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.engine.tokenizer import ChatTokenizer
from app.errors import (
    EngineDied,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    ReviewerError,
    UpstreamError,
)
from tests.engine.stub import (
    JSON,
    SSE,
    Upstream,
    piece,
    stream,
)
from tests.engine.test_engines import complete
from tests.engine.upstreams import CONSTRAINED, engine_for, until_it_fails

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("answer", "text", "refusal"),
    [
        ((400, JSON, b'{"error": {"message": "structural_tag?"}}'), "", InvalidRequest),
        ((500, JSON, b'{"error": {"message": "structural_tag?"}}'), "", UpstreamError),
        ((200, SSE, stream('{"error": {"message": "grammar"}}')), "", UpstreamError),
        (
            (200, SSE, stream(piece("## Sum"), '{"error": {"message": "grammar"}}')),
            "## Sum",
            UpstreamError,
        ),
        ((200, SSE, stream(piece("## Sum"))), "## Sum", EngineDied),
        ((200, SSE, stream(piece("## Sum"), piece("", "error"))), "## Sum", UpstreamError),
        ((200, SSE, stream(piece("## Sum"), piece("", "abort"))), "## Sum", EngineUnavailable),
    ],
)
async def test_what_fails_under_a_constraint_may_be_tried_without(
    stub: Upstream,
    tokenizer: ChatTokenizer,
    answer: tuple[int, str, bytes],
    text: str,
    refusal: type[ReviewerError],
) -> None:
    stub.answer = answer
    engine = engine_for(stub, tokenizer)
    written, failure = await until_it_fails(engine, CONSTRAINED)
    await engine.close()
    assert "".join(delta.text for delta in written) == text
    assert isinstance(failure.refusal, refusal)


async def test_what_is_whole_is_told_before_the_constraint_fails(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    whole = json.dumps({"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]})
    stub.answer = (200, SSE, stream(piece("a"), whole, '{"error": {"message": "grammar"}}'))
    engine = engine_for(stub, tokenizer)
    written, _ = await until_it_fails(engine, replace(CONSTRAINED, n=2))
    await engine.close()
    assert [(delta.index, delta.finish_reason) for delta in written] == [(0, None), (1, "stop")]


async def test_a_full_queue_has_nothing_to_do_with_a_constraint(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    stub.answer = (429, JSON, b'{"error": {"message": "slow"}}')
    engine = engine_for(stub, tokenizer)
    with pytest.raises(EngineOverloaded):
        await complete(engine, CONSTRAINED)
    await engine.close()
