"""Server-sent events whose work is cancelled when the client disconnects."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse

from app.async_utils import hung_up

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

KEEP_ALIVE_S = 15.0
"""Proxies may close connections that are silent for longer; a long paper can take minutes."""


class EventStream(StreamingResponse):
    """Sends ``content`` as ``text/event-stream``, with comments in between to keep it alive.

    FastAPI's event streams can't be returned from such handlers, and Starlette notices that a
    client has left only when it sends something. ``content`` is closed in any case.
    """

    media_type = "text/event-stream"

    def __init__(
        self, content: AsyncGenerator[bytes, None], headers: Mapping[str, str] | None = None
    ) -> None:
        fixed = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(content, headers={**fixed, **(headers or {})})
        self._content = content

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        turn = anyio.Lock()

        async def send_in_turn(message: Message) -> None:
            async with turn:
                await send(message)

        async with aclosing(self._content), anyio.create_task_group() as tasks:

            async def end_with_the_client() -> None:
                await hung_up(receive)
                tasks.cancel_scope.cancel()

            async def keep_alive() -> None:
                while True:
                    await anyio.sleep(KEEP_ALIVE_S)
                    await send_in_turn(_body(KEEPALIVE_COMMENT))

            await send_in_turn(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            tasks.start_soon(end_with_the_client)
            tasks.start_soon(keep_alive)
            async for chunk in self._content:
                await send_in_turn(_body(chunk))
            tasks.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _body(content: bytes) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": True}


def server_event(data: str, event: str | None = None, event_id: int | None = None) -> bytes:
    """One encoded event."""
    return format_sse_event(
        data_str=data, event=event, id=None if event_id is None else str(event_id)
    )
