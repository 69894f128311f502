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


def refused(status: int, code: str = "x", param: str | None = None, **headers: str) -> Answer:
    error = {"message": "No.", "type": "api_error", "param": param, "code": code}
    return lambda: JSONResponse(
        {"error": error}, status, {name.replace("_", "-"): text for name, text in headers.items()}
    )


def page(status: int) -> Answer:
    """As a proxy answers."""
    return lambda: Response("<h1>Bad Gateway</h1>", status, media_type="text/html")


class StubService:
    """A context manager. ``answers`` are given in turn, the last one again and again."""

    def __init__(self, *answers: Answer, delay_s: float = 0.0, model: str | None = "stub") -> None:
        self._answers = list(answers)
        self._delay_s = delay_s
        self.model = model
        self.asked: list[tuple[float, str]] = []
        """When each review was asked for, in seconds, and with which Authorization."""
        self.now = self.most = 0
        """Requests at this moment, and the most of them at one moment."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        routes = [
            Route("/version", self._version),
            Route("/v1/reviews", self._review, methods=["POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), port=self.port, log_level="error")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

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

    def __enter__(self) -> StubService:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = True
        self._thread.join()
