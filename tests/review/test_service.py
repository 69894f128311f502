"""Reviews that a model can't be made to write, by an engine double under the real application."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import pytest

from app.engine.base import ServedModel
from app.engine.tokenizer import ChatTokenizer
from app.errors import EngineError, EngineOverloaded, EngineUnavailable
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW, ScriptedEngine

TEXT = {"title": "T", "abstract": "A", "body": "# Introduction\n\nWe count."}
ACCEPT = "I recommend this paper for ACCEPTANCE."


def review(serve: Serve, engine: ScriptedEngine, **more: Any) -> dict[str, Any]:
    response = serve(engine, Settings()).post("/v1/reviews", json={**TEXT, **more})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def test_the_review_line_decides(serve: Serve, tokenizer: ChatTokenizer) -> None:
    engine = ScriptedEngine(tokenizer, logprobs=(-0.1, -3.1))
    body = review(serve, engine)
    assert body["verdict"]["decision"] == "accept"
    assert body["verdict"]["source"] == "review_line"
    assert body["verdict"]["probability"] == pytest.approx(1 / (1 + 2.718281828**-3))
    assert body["verdict"]["mass"] == pytest.approx({"accept": 0.9048, "reject": 0.0450}, abs=1e-4)
    assert body["usage"] == {"prompt_tokens": 100, "completion_tokens": 50, "cached_tokens": 10}
    assert body["text"] == WHOLE_REVIEW
    assert body["notice"] is None
    # The label read continues this very review, up to the deciding word.
    (read,) = engine.label_reads
    assert read.prefix == WHOLE_REVIEW.removesuffix(" ACCEPTANCE.")
    assert read.messages == engine.generations[0].messages


@pytest.mark.parametrize(
    ("text", "logprobs", "decision", "source"),
    [
        ("## Summary\nCut off in", (-2.0, -0.5), "reject", "probe"),
        ("## Summary\nCut off in", (-0.5, -2.0), "accept", "probe"),
        (f"{ACCEPT}\nI recommend this paper for REJECTION.", (-2.0, -0.5), "reject", "probe"),
        ("", (-0.5, -2.0), "accept", "probe"),
        ("I can't help with that.", None, None, None),
        (ACCEPT, None, "accept", "review_line"),
        (ACCEPT, (-900.0, -1.0), "accept", "review_line"),
        (ACCEPT, (-1.0, -900.0), "accept", "review_line"),
    ],
)
def test_without_one_line_the_model_is_asked_and_nothing_is_guessed(
    serve: Serve,
    tokenizer: ChatTokenizer,
    text: str,
    logprobs: tuple[float, float] | None,
    decision: str | None,
    source: str | None,
) -> None:
    body = review(serve, ScriptedEngine(tokenizer, [text], logprobs), format="free")
    assert (body["verdict"]["decision"], body["verdict"]["source"]) == (decision, source)
    assert (body["verdict"]["probability"] is None) == (logprobs is None)
    assert set(body["review"]) == {
        "summary",
        "strengths",
        "weaknesses",
        "technical_soundness",
        "clarity",
        "significance",
    }


def test_the_published_sampling_is_the_default(serve: Serve, tokenizer: ChatTokenizer) -> None:
    model = ServedModel("gemma-reviewer", 12288, 1400, also_named=("NhatCuong22/x",))
    engine = ScriptedEngine(tokenizer, model=model)
    client = serve(engine, Settings())
    client.post("/v1/reviews", json={**TEXT, "model": "NhatCuong22/x"}).raise_for_status()
    client.post("/v1/reviews", json={**TEXT, "format": "free", "seed": 7}).raise_for_status()
    first, second = engine.generations
    assert (first.temperature, first.top_p, first.max_tokens) == (0.2, 0.9, 1400)
    assert first.structure
    assert first.seed is None
    assert (second.structure, second.seed) == (None, 7)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (EngineUnavailable("died"), 503, "engine_unavailable"),
        (EngineOverloaded("full"), 503, "engine_overloaded"),
        (EngineError("could not"), 503, "engine_error"),
        (ZeroDivisionError("a secret path"), 500, "internal_error"),
    ],
)
def test_an_engine_that_fails(
    serve: Serve, tokenizer: ChatTokenizer, error: Exception, status: int, code: str
) -> None:
    client = serve(ScriptedEngine(tokenizer, [error, WHOLE_REVIEW]), Settings())
    response = client.post("/v1/reviews", json=TEXT)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert "secret" not in response.text
    assert client.post("/v1/reviews", json=TEXT).status_code == 200


def test_a_client_that_hangs_up_aborts_the_generation(
    serve: Serve, tokenizer: ChatTokenizer
) -> None:
    engine = ScriptedEngine(tokenizer, delay_s=0.5)
    client = serve(engine, Settings())
    body = json.dumps(TEXT).encode()
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(
            b"POST /v1/reviews HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        while not engine.generations:
            time.sleep(0.01)
    ends = time.monotonic() + 1
    while not engine.aborted:
        assert time.monotonic() < ends
        time.sleep(0.01)
    assert not engine.label_reads
