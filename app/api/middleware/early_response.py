"""Error answers that are sent before a request's body has been read."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from app.errors import ReviewerError

LINGERING = 8
"""Most refused requests whose bodies are read at the same time."""
_LINGER_S = 2.0
"""Most seconds of reading a refused body."""
_WAIT_S = 10.0
"""Most seconds of waiting for one of these places and reading."""


async def respond_early(
    error: ReviewerError,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    linger: asyncio.Semaphore | None,
) -> None:
    """Answer with ``error``. With ``linger``, go on reading for a moment before closing.

    If the connection were closed while the client is sending, TCP would reset it, and the client
    might never see the answer. What is read is discarded. ``linger`` limits the number of requests
    that read, as a thousand at once would occupy the event loop.
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
    """Whether the request's head announces a body."""
    headers = dict(scope["headers"])
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


def is_sending(scope: Scope) -> bool:
    """Whether the client is sending its body: with "Expect: 100-continue" it has not begun."""
    return has_body(scope) and b"expect" not in dict(scope["headers"])
