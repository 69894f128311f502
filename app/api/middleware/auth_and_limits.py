"""Who may ask how much, decided by a request's head: its body is not read before that."""

from __future__ import annotations

import asyncio
import math
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.datastructures import MutableHeaders
from throttled.rate_limiter import Quota, Rate
from throttled.rate_limiter.gcra import GCRARateLimiter
from throttled.store import MemoryStore

from app.api.middleware.bodies import WORK
from app.api.middleware.early_response import is_sending, respond_early
from app.errors import RateLimited, ReviewerError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from app.api.auth import Keyring
    from app.jobs.concurrency import ConcurrencyLimiter
    from app.settings import Settings

OPEN = frozenset({"/livez", "/readyz", "/version", "/docs", "/openapi.json"})
"""Paths that need no key; every other does, also one that leads nowhere."""


class AuthAndLimits:
    """ASGI middleware: 401 without a key, 429 for a key that asks too much, 503 when all is busy.

    Places are taken by ``app.api.middleware.bodies``, when a body is there: who comes when all are
    taken need not send one.


    ``request.state.tenant`` is the key's name afterwards; empty where the service has no keys.
    """

    def __init__(
        self,
        app: ASGIApp,
        keyring: Keyring,
        settings: Settings,
        limiter: ConcurrencyLimiter,
        lingering: asyncio.Semaphore,
    ) -> None:
        self._app = app
        self._lingering = lingering
        self._keyring = keyring
        self._rate = _Rate(settings)
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        limits: dict[str, str] = {}

        async def with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(limits)
            await send(message)

        try:
            tenant = self._keyring.tenant_of(_authorization(scope))
            scope.setdefault("state", {})["tenant"] = tenant
            if scope["path"].startswith("/v1/"):
                self._rate.spend(tenant, limits)
            if scope["method"] == "POST" and scope["path"] in WORK:
                self._limiter.check(tenant)
        except ReviewerError as error:
            linger = self._lingering if is_sending(scope) else None
            await respond_early(error, scope, receive, with_limits, linger=linger)
            return
        await self._app(scope, receive, with_limits)


class _Rate:
    """So many requests a minute for each tenant, in a bucket that fills again evenly."""

    def __init__(self, settings: Settings) -> None:
        self._buckets: GCRARateLimiter | None = None
        if settings.rate_limit_rpm is not None:
            rate = Rate(timedelta(minutes=1), settings.rate_limit_rpm)
            burst = settings.rate_limit_burst or settings.rate_limit_rpm
            self._buckets = GCRARateLimiter(Quota(rate, burst), MemoryStore())

    def spend(self, tenant: str, told: dict[str, str]) -> None:
        """Count one request; ``told`` gets OpenAI's headers.

        Raises:
            RateLimited: it is one too many.
        """
        if self._buckets is None:
            return
        result = self._buckets.limit(tenant)
        told["x-ratelimit-limit-requests"] = str(result.state.limit)
        told["x-ratelimit-remaining-requests"] = str(result.state.remaining)
        told["x-ratelimit-reset-requests"] = f"{math.ceil(result.state.reset_after)}s"
        if result.limited:
            wait = max(1, math.ceil(result.state.retry_after))
            raise RateLimited(f"Too many requests; try again in {wait} s.", wait)


def _authorization(scope: Scope) -> str | None:
    found: bytes | None = dict(scope["headers"]).get(b"authorization")
    return None if found is None else found.decode("latin-1")
