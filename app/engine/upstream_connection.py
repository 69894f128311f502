"""The HTTP connections to an upstream, and the check whether it still answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from app.async_utils import wait_for
from app.engine.openai_answers import ModelCard, ModelList, refusal
from app.errors import (
    EngineDied,
    EngineError,
    EngineUnavailable,
    InvalidRequest,
    UpstreamError,
    UpstreamRefused,
)
from app.redaction import without_keys
from app.settings import Settings

log = logging.getLogger(__name__)

_CHECK_S = 5.0
"""Interval between two health checks."""
_RECHECK_S = 1.0
"""The longest interval after a failed check."""
_DEAD_AFTER = 3
"""Number of failed checks in a row, with no answer to any other request between them, after which
the upstream counts as dead. A single 502 of a proxy does not end the reviews in progress."""
_CHECK_TIMEOUT_S = 10.0
_MIN_SECRET_CHARS = 8
"""Shorter secrets are not removed from messages: they may be ordinary words."""
_TIMEOUT = httpx.Timeout(30.0, read=600.0)


class UpstreamConnection:
    """The connections of one engine to its upstream."""

    def __init__(self, settings: Settings, check_s: float = _CHECK_S) -> None:
        url = httpx.URL(str(settings.upstream_url))
        key = settings.upstream_api_key
        secrets = [url.password, *(value for _, value in url.params.multi_items())]
        secrets += [key.get_secret_value()] if key else []
        self._secrets = [secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARS]
        self.client = httpx.AsyncClient(
            base_url=url.copy_with(query=None, fragment=None),
            params=url.params,
            headers={"authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=settings.max_queued_requests),
        )
        self._check_s = check_s
        self._answers = 0
        self._users = 0
        self._closing = False
        self._refused = asyncio.Event()

    def without_secrets(self, text: str) -> str:
        """A message of the upstream, without the secrets that the operator has set."""
        return without_keys(text, self._secrets)

    def refusal(self, status: int, content: bytes) -> EngineError | InvalidRequest:
        """The exception for an error response.

        An upstream that refuses the service's key counts as dead until the key is corrected.
        """
        error = refusal(status, self.without_secrets(content.decode(errors="replace")))
        if isinstance(error, UpstreamRefused):
            self._refused.set()
        return error

    def answered(self) -> None:
        """Record that a part of an answer has arrived, so the upstream is alive."""
        self._answers += 1

    async def model_card(self, wanted: str) -> ModelCard:
        """The upstream's entry for the model; its first one for ``auto``.

        Raises:
            EngineUnavailable: it does not answer.
            UpstreamError: it has no such model, or does not say which it has.
        """
        try:
            response = await self.client.get("models", timeout=_CHECK_TIMEOUT_S)
        except httpx.RequestError as error:
            raise EngineUnavailable(
                f"the upstream does not answer ({type(error).__name__})"
            ) from error
        if not response.is_success:
            raise EngineUnavailable(f"the upstream answers {response.status_code}")
        try:
            cards = ModelList.model_validate_json(response.content).data
        except ValueError as error:
            raise UpstreamError(
                "the upstream answers GET /models with no list of models"
            ) from error
        for card in cards:
            if wanted in ("auto", card.id):
                return card
        names = ", ".join(card.id for card in cards) or "none"
        raise UpstreamError(f"the upstream has no model {wanted!r}; it has: {names}")

    async def died(self, model: str) -> str:
        """Wait until the upstream is gone or no longer has the model; return the reason."""
        failures = 0
        while True:
            answers = self._answers
            pause_s = min(self._check_s, _RECHECK_S) if failures else self._check_s
            if await wait_for(self._refused, pause_s):
                return "the upstream refuses the service's key"
            try:
                await self.model_card(model)
            except EngineError as error:
                failures = failures + 1 if self._answers == answers else 1
                log.warning("check %d of %d failed: %s", failures, _DEAD_AFTER, error.message)
                if failures == _DEAD_AFTER:
                    return error.message
            else:
                failures = 0

    @asynccontextmanager
    async def used(self) -> AsyncIterator[httpx.AsyncClient]:
        """The client, which stays open until the context is left.

        Raises:
            EngineUnavailable: it has been closed.
        """
        if self.client.is_closed:
            raise EngineUnavailable("The connection to the upstream is closed; send it again.")
        self._users += 1
        try:
            yield self.client
        finally:
            self._users -= 1
            if self._closing:
                await self.close()

    async def close(self) -> None:
        """Close the client at once, or when its last user has left :meth:`used`."""
        self._closing = True
        if not self._users:
            await self.client.aclose()


_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def no_answer(error: httpx.RequestError) -> EngineError:
    """The exception for a request without a response.

    If the upstream had received the request, the request may be what ended it: ``EngineDied``.
    """
    kind = EngineUnavailable if isinstance(error, _NOT_SENT) else EngineDied
    return kind(f"The upstream does not answer ({type(error).__name__}).")
