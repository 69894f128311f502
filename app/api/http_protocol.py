"""uvicorn's HTTP protocol with limits on the time and memory that a connection may use.

uvicorn closes idle connections after an answer. But it waits without a limit for a request's head,
for a client that does not read its answer, and for the rest of a body that is no longer read. Nor
does it limit the size of a head.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from app.settings import Settings

_MOST_SILENT_BYTES = 64 * 1024
"""Most consecutive bytes that are not body: a head, trailers or a chunk's extensions."""
_AT_ONCE = struct.pack("ii", 1, 0)
_TOO_SLOW = b"408 Request Timeout"
_TOO_LONG = b"431 Request Header Fields Too Large"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    most: int
    """Most connections at the same time."""
    head_s: float
    """Most seconds from a connection's start, or its last answer, to the end of a request's
    head."""
    write_s: float
    """Most seconds in which the client reads nothing of its answer."""

    @classmethod
    def of(cls, settings: Settings) -> ConnectionLimits:
        return cls(settings.max_connections, settings.head_timeout_s, settings.write_timeout_s)


class BoundedHttpProtocol(HttpToolsProtocol):
    """``limits`` come from :class:`app.api.server.Server`, all other arguments from uvicorn."""

    def __init__(self, *arguments: Any, limits: ConnectionLimits, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._limits = limits
        self._silent = 0
        self._lost = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None

    @property
    def waits_since(self) -> float | None:
        """When the wait for a request's head ends; None while a request is being answered."""
        return None if self._head_timer is None else self._head_timer.when()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", transport))
        self._wait_for_head()
        if len(self.connections) > self._limits.most:
            connections = cast("Iterable[BoundedHttpProtocol]", self.connections)
            _longest_waiting(connections).make_room()

    def make_room(self) -> None:
        """Close at once in favour of another connection."""
        self._stop_waiting()
        self.connections.discard(self)
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._silent += len(data)
        super().data_received(data)
        if self._silent > _MOST_SILENT_BYTES:
            self._end(_TOO_LONG)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._silent = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._silent = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        is_last = not self.pipeline
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writing()
        elif is_last:
            self._wait_for_head()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_writing()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_watching()

    def _wait_for_head(self) -> None:
        self._stop_waiting()
        self._head_timer = self.loop.call_later(self._limits.head_s, self._end, _TOO_SLOW)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end(self, status: bytes) -> None:
        """Answer with ``status``, unless an answer has begun, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(
                b"HTTP/1.1 %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status
            )
        self.transport.close()
        self._watch_writing()

    def _watch_writing(self) -> None:
        self._stop_watching()
        if self._lost:  # uvicorn's keep-alive timer outlives a connection that was reset
            return
        left = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(self._limits.write_s, self._written, left)

    def _written(self, left: int) -> None:
        """Continue if the client has read something since the last check; otherwise abort."""
        if self.transport.get_write_buffer_size() < left:
            self._watch_writing()
        else:
            # With SO_LINGER the kernel discards what it has buffered for the client.
            connected = self.transport.get_extra_info("socket")
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self.transport.abort()

    def _stop_watching(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None


def _longest_waiting(connections: Iterable[BoundedHttpProtocol]) -> BoundedHttpProtocol:
    """Of the connections that have sent no complete head (as the newest), the oldest."""
    waiting = [one for one in connections if one.waits_since is not None]
    return min(waiting, key=lambda one: one.waits_since or 0.0)
