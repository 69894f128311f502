"""Answers in the place of the application, before it has read a request's body."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from app.errors import ReviewerError

LINGERING = 8
"""Refused requests whose bodies are read off at the same time."""
_LINGER_S = 2.0
_WAIT_S = 10.0
"""Longest for one of the places, and all in all."""


async def respond_early(
    error: ReviewerError,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    linger: asyncio.Semaphore | None,
) -> None:
    """Answer at once; with ``linger``, read on for a moment before the connection is closed.

    Closed at once, with the client still sending, TCP would reset the connection, and the client
    might never see the answer. What is read is thrown away. ``linger`` has a place for each that
    reads: a thousand at once would leave the event loop no time for anybody else.
    """
    scope.setdefault("state", {})["error"] = error
    body = json.dumps(error.envelope()).encode()
    head = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **error.headers,
    }
    if has_body(scope):
        head["Connection"] = "close"
    await send(
        {
            "type": "http.response.start",
            "status": error.status,
            "headers": [(name.lower().encode(), text.encode()) for name, text in head.items()],
        }
    )
    await send({"type": "http.response.body", "body": body, "more_body": True})
    if linger is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S), linger, asyncio.timeout(_LINGER_S):
                while (await receive()).get("more_body"):
                    pass
    await send({"type": "http.response.body"})


def has_body(scope: Scope) -> bool:
    """Whether the request's head announces one."""
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def is_sending(scope: Scope) -> bool:
    """Whether it is on its way: who expects "100 Continue" has not begun to send, and need not."""
    return has_body(scope) and b"expect" not in dict(scope["headers"])
