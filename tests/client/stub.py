"""A service that answers what it is told to, when the real one can't be made to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.service import free_port

Answer = Callable[[], Response]

REVIEW: dict[str, Any] = {
    "id": "rev_1",
    "object": "review",
    "created": 1,
    "status": "completed",
    "model": "stub",
    "notice": None,
    "mode": "review",
    "template": "default",
    "paper": {"title": "=1+1", "abstract": "", "pages": 1, "sha256": "", "sections": []},
    "review": {"summary": "It counts."},
    "verdict": {
        "decision": "accept",
        "probability": 0.75,
        "mass": None,
        "source": "review_line",
    },
    "integrity": {
        "hidden_text": [],
        "visible_instructions": [],
        "blinded": [],
        "dropped": {},
        "repaired": False,
        "ocr_pages": [],
        "truncated": [],
    },
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 0},
    "timings": {"extract_s": 0.0, "queue_s": 0.0, "generate_s": 0.0},
    "finish_reason": "stop",
    "text": "## Summary\n\nIt counts.",
    "told_by_a_newer_service": [1],
}


def reviewed(**changed: Any) -> Answer:
    return lambda: JSONResponse({**REVIEW, **changed})


def accepted(status: str = "queued", **changed: Any) -> Answer:
    """A review that is not completed, as the queue has it."""
    review = {name: REVIEW[name] for name in ("id", "object", "created", "model", "mode")}
    review |= {"status": status, "template": "default", **changed}
    return lambda: JSONResponse(review, 202 if status == "queued" else 200)


def refused(
    status: int, code: str = "x", param: str | None = None, message: str = "No.", **headers: str
) -> Answer:
    error = {"message": message, "type": "api_error", "param": param, "code": code}
    return lambda: JSONResponse(
        {"error": error}, status, {name.replace("_", "-"): text for name, text in headers.items()}
    )


def page(status: int) -> Answer:
    """As a proxy answers."""
    return lambda: Response("<h1>Bad Gateway</h1>", status, media_type="text/html")


class StubService:
    """A context manager. ``answers`` are given in turn, the last one again and again.

    ``polls`` are the answers for reviews that were accepted into the queue, in the same way.
    """

    def __init__(
        self,
        *answers: Answer,
        polls: tuple[Answer, ...] = (),
        delay_s: float = 0.0,
        model: str | None = "stub",
    ) -> None:
        self._answers = list(answers)
        self._polls = list(polls)
        self.polled = 0
        self.cancelled: list[str] = []
        self._delay_s = delay_s
        self.model = model
        self.asked: list[tuple[float, str]] = []
        """When each review was asked for, in seconds, and with which Authorization."""
        self.now = self.most = 0
        """Requests at this moment, and the most of them at one moment."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        routes = [
            Route("/readyz", self._ready),
            Route("/version", self._version),
            Route("/v1/reviews", self._review, methods=["POST"]),
            Route("/v1/reviews/{id}", self._poll),
            Route("/v1/reviews/{id}/cancel", self._cancel, methods=["POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), port=self.port, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    async def _ready(self, _: Request) -> Response:
        if self.model:
            return JSONResponse({"status": "ok"})
        return refused(503, "engine_unavailable", message="The model is not ready.")()

    async def _version(self, _: Request) -> Response:
        return JSONResponse({"version": "1", "model": self.model, "engine": "stub 1"})

    async def _review(self, request: Request) -> Response:
        self.asked.append((time.monotonic(), request.headers.get("authorization", "")))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.now += 1
        self.most = max(self.most, self.now)
        async for _ in request.stream():
            pass
        await asyncio.sleep(self._delay_s)
        self.now -= 1
        return answer()

    async def _poll(self, _: Request) -> Response:
        self.polled += 1
        return (self._polls.pop(0) if len(self._polls) > 1 else self._polls[0])()

    async def _cancel(self, request: Request) -> Response:
        self.cancelled.append(request.path_params["id"])
        return accepted("cancelled")()

    def __enter__(self) -> StubService:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._thread.join()
