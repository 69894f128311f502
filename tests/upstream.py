"""An OpenAI-compatible server that writes one review, for services without a model of their own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Literal, Self

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.doubles import WHOLE_REVIEW
from tests.service import free_port

MODEL = "written-upstream"
SLOWER = 10
KEY = "sk-proj-0123456789"
Fault = Literal["bad gateway", "malformed", "slow", "silent", "key refused"]
"""What it does instead, while it does: a proxy's 502 to every request, nonsense in every answer,
everything so many times slower, no word more of any review, or no chat for the service's key."""


class ReviewUpstream:
    """A context manager. ``settings`` are those of a service that uses it as its engine."""

    def __init__(self, delay_s: float = 0.0) -> None:
        """``delay_s``: pause before each line of a review."""
        self.delay_s = delay_s
        self.fault: Fault | None = None
        self.model = MODEL
        """The name of the one that it serves."""
        self.reviews = 0
        """Requests for a review so far."""
        port = free_port()
        self.settings = {
            "REVIEWER_ENGINE": "upstream",
            "REVIEWER_UPSTREAM_URL": f"http://127.0.0.1:{port}/v1",
            "REVIEWER_UPSTREAM_TOKENIZER": "smollm2",
        }
        routes = [
            Route("/v1/models", self._models),
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes), port=port, log_level="error", lifespan="off"
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    async def _models(self, _: Request) -> Response:
        await self._pause()
        if self.fault == "bad gateway":
            return Response(status_code=502)
        if self.fault == "malformed":
            return JSONResponse({"data": [{"object": "model"}]})
        return JSONResponse({"data": [{"id": self.model, "max_model_len": 8192}]})

    async def _chat(self, request: Request) -> Response:
        asked: dict[str, Any] = await request.json()
        if self.fault == "bad gateway":
            return Response(status_code=502)
        if self.fault == "key refused":
            told = {"message": f"Incorrect API key provided: {KEY}.", "code": "invalid_api_key"}
            return JSONResponse({"error": told}, 401)
        if not asked.get("stream"):
            return JSONResponse({"choices": [{"message": {"content": " ACCEPT"}}]})
        self.reviews += asked["max_tokens"] > 1
        return StreamingResponse(self._written(), media_type="text/event-stream")

    async def _written(self) -> AsyncGenerator[str, None]:
        for line in WHOLE_REVIEW.splitlines(keepends=True):
            await self._pause()
            while self.fault == "silent":
                await anyio.sleep(0.05)
            if self.fault == "malformed":
                yield "data: nonsense\n\n"
                return
            yield _chunk({"delta": {"content": line}})
        yield _chunk({"delta": {}, "finish_reason": "stop"})

    async def _pause(self) -> None:
        await anyio.sleep(self.delay_s * (SLOWER if self.fault == "slow" else 1))

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.force_exit = self._server.should_exit = True
        self._thread.join()


def _chunk(choice: dict[str, Any]) -> str:
    return f"data: {json.dumps({'choices': [choice]})}\n\n"
