"""Refuses request bodies over a limit while they still arrive, however they are framed."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

from app.errors import UploadTooLarge

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


_LINGER_S = 2.0


class _TooLarge(Exception):
    """Unwinds the application; the client has its answer already."""


class BodyLimit:
    """ASGI middleware: 413 by ``Content-Length``, or at the first chunk past ``max_bytes``."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._max_bytes:
            # A client that expects "100 Continue" has not begun to send, and need not.
            await self._refuse(receive, send, linger=b"expect" not in headers)
            return
        received = 0
        refused = False

        async def counted() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                refused = True
                await self._refuse(receive, send, linger=message.get("more_body", False))
                raise _TooLarge
            return message

        async def unless_refused(message: Message) -> None:
            # Frameworks answer 400 to the exception above; the 413 is out already.
            if not refused:
                await send(message)

        with suppress(_TooLarge):
            await self._app(scope, counted, unless_refused)

    async def _refuse(self, receive: Receive, send: Send, *, linger: bool) -> None:
        """Answer 413 at once, then read on for a moment before the connection is closed.

        Closed at once, with the client still sending, TCP would reset the connection, and the
        client might never see the answer.
        """
        error = UploadTooLarge(
            f"The request is larger than the limit of {self._max_bytes / 1e6:g} MB.", param="file"
        )
        body = json.dumps(error.envelope()).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        if linger:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_S):
                    while (await receive()).get("more_body"):
                        pass
        await send({"type": "http.response.body"})
