"""Checks API keys and rate limits by a request's head, before its body is read."""

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

OPEN = frozenset({"/", "/livez", "/readyz", "/version", "/docs", "/openapi.json"})
"""Paths that need no key, as the files of the page below ``OPEN_FOLDER``. All others do, also
unknown ones."""
OPEN_FOLDER = "/web/"


class AuthAndLimits:
    """ASGI middleware: 401 without a valid key, 429 for a key over its limit, 503 if all are busy.

    ``app.api.middleware.bodies`` takes a place once a body is complete. The check here saves a
    client from sending a body when all places are taken.

    Sets ``request.state.tenant`` to the key's name; empty if the service has no keys.
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
        if scope["type"] != "http" or _is_open(scope["path"]):
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
    """Limits each tenant's requests per minute (GCRA, which refills evenly)."""

    def __init__(self, settings: Settings) -> None:
        self._buckets: GCRARateLimiter | None = None
        if settings.rate_limit_rpm is not None:
            rate = Rate(timedelta(minutes=1), settings.rate_limit_rpm)
            burst = settings.rate_limit_burst or settings.rate_limit_rpm
            self._buckets = GCRARateLimiter(Quota(rate, burst), MemoryStore())

    def spend(self, tenant: str, headers: dict[str, str]) -> None:
        """Count one request; adds OpenAI's rate limit headers to ``headers``.

        Raises:
            RateLimited: the limit is exceeded.
        """
        if self._buckets is None:
            return
        result = self._buckets.limit(tenant)
        headers["x-ratelimit-limit-requests"] = str(result.state.limit)
        headers["x-ratelimit-remaining-requests"] = str(result.state.remaining)
        headers["x-ratelimit-reset-requests"] = f"{math.ceil(result.state.reset_after)}s"
        if result.limited:
            wait = max(1, math.ceil(result.state.retry_after))
            raise RateLimited(f"Too many requests; try again in {wait} s.", wait)


def _is_open(path: str) -> bool:
    return path in OPEN or path.startswith(OPEN_FOLDER)


def _authorization(scope: Scope) -> str | None:
    found: bytes | None = dict(scope["headers"]).get(b"authorization")
    return None if found is None else found.decode("latin-1")
