"""Limits on request bodies while they are received: size, speed, and all bodies together."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.api.middleware.early_response import is_sending, respond_early
from app.errors import BodyTooSlow, Overloaded, ReviewerError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.api.body_limits import BodyLimits
    from app.jobs.concurrency import ConcurrencyLimiter
    from app.settings import Settings

WORK = frozenset({"/v1/reviews", "/v1/papers", "/v1/chat/completions"})
"""A POST to one of these counts towards ``max_reviews`` once its body has been received."""


class _Refused(Exception):
    """Ends the application's call after the client has been answered."""


class Bodies:
    """ASGI middleware: 413 for a body that is too large, 408 for one that is too slow, 503 if too
    much is received at once, or all places are taken once the body is complete.

    A slow client does not block others: until its body is complete it takes no place.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        limits: BodyLimits,
        limiter: ConcurrencyLimiter,
        lingering: asyncio.Semaphore,
    ) -> None:
        self._app = app
        self._limits = limits
        self._limiter = limiter
        self._lingering = lingering
        self._arrivals = _Arrivals(
            most=max(int(settings.max_arriving_mb * 1e6), limits.chat),
            window_s=settings.body_window_s,
            least=settings.min_body_kb_s * 1e3 * settings.body_window_s,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _Body(self._arrivals, receive, *self._limit_of(scope))
        limiter = self._limiter if scope["method"] == "POST" and scope["path"] in WORK else None
        exchange = _Exchange(scope, receive, send, body, limiter, self._lingering)
        declared = dict(scope["headers"]).get(b"content-length", b"")
        try:
            if declared.isdigit() and int(declared) > body.most:
                await exchange.refuse(body.too_large, sending=is_sending(scope))
                return
            with suppress(_Refused):
                await self._app(scope, exchange.receive, exchange.send)
        finally:
            exchange.close()

    def _limit_of(self, scope: Scope) -> tuple[int, ReviewerError]:
        kind = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1").lower()
        path: str = scope["path"]
        return self._limits.of_body(path, kind), self._limits.exceeded(path, kind)


@dataclass(slots=True)
class _Arrivals:
    """Bytes of all incomplete bodies, and the limits for them."""

    most: int
    window_s: float
    least: float
    """Fewest bytes of a body in ``window_s`` seconds of waiting for it."""
    received: int = 0


class _Body:
    """One body. ``receive`` is the ASGI channel; ``most`` is in bytes."""

    def __init__(
        self, arrivals: _Arrivals, receive: Receive, most: int, too_large: ReviewerError
    ) -> None:
        self._arrivals = arrivals
        self._receive = receive
        self.most = most
        self.too_large = too_large
        self.complete = False
        self._received = 0
        self._in_window = 0
        self._waited_s = 0.0

    async def receive(self) -> Message:
        """The next ASGI message.

        Raises:
            BodyTooSlow: the body is too slow.
            ReviewerError: the body, or all bodies together, are too large.
        """
        message = await self._next()
        size = len(message.get("body", b""))
        self._in_window += size
        self._received += size
        self._arrivals.received += size
        if self._received > self.most:
            raise self.too_large
        if self._arrivals.received > self._arrivals.most:
            raise Overloaded("The service is receiving more data than it can take; try again.")
        if not message.get("more_body", False):
            self.complete = True
            self.close()
        return message

    async def _next(self) -> Message:
        # Only the time of waiting counts, not that of the application between two pieces.
        began = time.monotonic()
        while True:
            left = self._arrivals.window_s - self._waited_s - (time.monotonic() - began)
            try:
                async with asyncio.timeout(left):
                    message = await self._receive()
            except TimeoutError:
                pass
            else:
                self._waited_s += time.monotonic() - began
                return message
            if self._in_window < self._arrivals.least:
                kb_s = self._arrivals.least / self._arrivals.window_s / 1e3
                raise BodyTooSlow(
                    f"The body was slower than {kb_s:g} kB/s for {self._arrivals.window_s:g} s."
                )
            self._in_window, self._waited_s, began = 0, 0.0, time.monotonic()

    def close(self) -> None:
        """Stop counting this body among the incomplete ones."""
        self._arrivals.received -= self._received
        self._received = 0


class _Exchange:
    """One request and its answer; ``limiter`` is None if the request takes no place."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        body: _Body,
        limiter: ConcurrencyLimiter | None,
        lingering: asyncio.Semaphore,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body = body
        self._limiter = limiter
        self._tenant: str = scope.get("state", {}).get("tenant", "")
        self._placed = False
        self._refused = False
        self._lingering = lingering

    async def receive(self) -> Message:
        if self._body.complete:
            return await self._receive()
        try:
            message = await self._body.receive()
            if self._body.complete and self._limiter:
                self._limiter.take(self._tenant)
                self._placed = True
        except ReviewerError as error:
            slow = isinstance(error, BodyTooSlow)
            await self.refuse(error, sending=not (self._body.complete or slow))
            raise _Refused from error
        return message

    async def send(self, message: Message) -> None:
        # The framework answers 400 after an exception in receive(); the client was answered.
        if not self._refused:
            await self._send(message)

    async def refuse(self, error: ReviewerError, *, sending: bool) -> None:
        self._refused = True
        linger = self._lingering if sending else None
        await respond_early(error, self._scope, self._receive, self._send, linger=linger)

    def close(self) -> None:
        self._body.close()
        if self._placed and self._limiter:
            self._limiter.leave(self._tenant)
