"""Refuses request bodies over a limit while they still arrive, however they are framed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from app.errors import UploadTooLarge
from app.middleware.refusal import is_sending, refuse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _TooLarge(Exception):
    """Unwinds the application; the client has its answer already."""


class BodyLimit:
    """ASGI middleware: 413 by ``Content-Length``, or at the first chunk past ``max_bytes``."""

    def __init__(self, app: ASGIApp, max_bytes: int, lingering: asyncio.Semaphore) -> None:
        self._app = app
        self._lingering = lingering
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await self._refuse(scope, receive, send, linger=is_sending(scope))
            return
        received = 0
        refused = False

        async def counted() -> Message:
            nonlocal received, refused
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                refused = True
                await self._refuse(scope, receive, send, linger=message.get("more_body", False))
                raise _TooLarge
            return message

        async def unless_refused(message: Message) -> None:
            # Frameworks answer 400 to the exception above; the 413 is out already.
            if not refused:
                await send(message)

        with suppress(_TooLarge):
            await self._app(scope, counted, unless_refused)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, *, linger: bool) -> None:
        error = UploadTooLarge(
            f"The request is larger than the limit of {self._max_bytes / 1e6:g} MB.", param="file"
        )
        await refuse(error, scope, receive, send, linger=self._lingering if linger else None)
