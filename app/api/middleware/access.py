"""Request ids, log lines, request metrics, and the handling of unexpected exceptions."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from starlette.routing import Match
from structlog.contextvars import bound_contextvars

from app.api.middleware.early_response import respond_early
from app.errors import ReviewerError, ShuttingDown, unexpected
from app.observability.metrics import Metrics, code_of

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ASKED_ALL_THE_TIME = frozenset(("/livez", "/readyz", "/metrics"))
CLIENT_LEFT = 499
"""nginx's status for a client that hung up; nobody reads the answer."""


class Access:
    """The outermost ASGI middleware.

    Unexpected exceptions are handled here: Starlette and uvicorn would log their text.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, application: FastAPI) -> None:
        self._app = app
        self._metrics = metrics
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        started, status = time.perf_counter(), None

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        with bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, named)
            except asyncio.CancelledError:
                # The time for running requests after SIGTERM is over.
                if status is not None:
                    raise
                late = ShuttingDown("The service has stopped before this was finished.")
                await respond_early(late, scope, receive, named, linger=None)
            except Exception as error:  # noqa: BLE001  # the last resort
                failure = unexpected(error)
                if status is None:
                    await respond_early(failure, scope, receive, named, linger=None)
                # If the answer has begun, it is left incomplete, and uvicorn disconnects.
            finally:
                self._note(scope, status or CLIENT_LEFT, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        state = scope.get("state", {})
        route = self._route(scope)
        error: ReviewerError | None = state.get("error")
        if error is not None:
            self._metrics.failed(error)
        self._metrics.answered(scope["method"], route, status, seconds)
        # The path and the query come from the client and are not logged.
        log.log(
            logging.DEBUG if route in _ASKED_ALL_THE_TIME else logging.INFO,
            "request",
            extra={
                "method": scope["method"],
                "route": route,
                "status": status,
                "seconds": round(seconds, 4),
                "tenant": state.get("tenant", ""),
                "code": code_of(error) if error is not None else None,
            },
        )

    def _route(self, scope: Scope) -> str:
        """The route's template, also for requests that were refused before routing."""
        for route in self._application.routes:
            if route.matches(scope)[0] is not Match.NONE:
                return str(getattr(route, "path", "other"))
        return "other"


def _request_id(scope: Scope) -> str:
    """The client's id if it is valid, otherwise a new one."""
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if _SANE_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"
