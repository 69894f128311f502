"""The connections to an upstream: who uses them, and whether anybody answers at the other end."""

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

_LOOK_S = 5.0
"""Between two looks at whether the upstream is there; after a failed one, at most a second."""
_LOOK_AGAIN_S = 1.0
_DEAD_AFTER = 3
"""Looks that fail one after the other, nothing else having been answered meanwhile, after which the
upstream counts as dead: a proxy's single 502 says nothing of the reviews that are being written."""
_LOOK_TIMEOUT_S = 10.0
_SECRET_CHARS = 8
"""What is shorter can't be told from the words around it."""
_TIMEOUT = httpx.Timeout(30.0, read=600.0)


class UpstreamConnection:
    """To one upstream, for one engine's life."""

    def __init__(self, settings: Settings, look_s: float = _LOOK_S) -> None:
        url = httpx.URL(str(settings.upstream_url))
        key = settings.upstream_api_key
        secrets = [url.password, *(value for _, value in url.params.multi_items())]
        secrets += [key.get_secret_value()] if key else []
        self._secrets = [secret for secret in secrets if len(secret) >= _SECRET_CHARS]
        self.client = httpx.AsyncClient(
            base_url=url.copy_with(query=None, fragment=None),
            params=url.params,
            headers={"authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=settings.max_queued_requests),
        )
        self._look_s = look_s
        self._pieces = 0
        self._users = 0
        self._closing = False
        self._refused = asyncio.Event()

    def without_secrets(self, text: str) -> str:
        """Words of the upstream's that somebody else may read."""
        return without_keys(text, self._secrets)

    def refusal(self, status: int, content: bytes) -> EngineError | InvalidRequest:
        """An error that the upstream has answered, in our terms.

        Where it refuses the service's key, it is of no use until that is mended: it counts as dead.
        """
        error = refusal(status, self.without_secrets(content.decode(errors="replace")))
        if isinstance(error, UpstreamRefused):
            self._refused.set()
        return error

    def answered(self) -> None:
        """A piece of an answer has come: a sign of life."""
        self._pieces += 1

    async def model_card(self, wanted: str) -> ModelCard:
        """The upstream's entry for the model; its first one for ``auto``.

        Raises:
            EngineUnavailable: it does not answer.
            UpstreamError: it has no such model, or does not say which it has.
        """
        try:
            response = await self.client.get("models", timeout=_LOOK_TIMEOUT_S)
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
        """Wait until the upstream is gone, or has the model no more; returns why."""
        failures = 0
        while True:
            pieces = self._pieces
            pause_s = min(self._look_s, _LOOK_AGAIN_S) if failures else self._look_s
            if await wait_for(self._refused, pause_s):
                return "the upstream refuses the service's key"
            try:
                await self.model_card(model)
            except EngineError as error:
                failures = failures + 1 if self._pieces == pieces else 1
                log.warning("look %d of %d failed: %s", failures, _DEAD_AFTER, error.message)
                if failures == _DEAD_AFTER:
                    return error.message
            else:
                failures = 0

    @asynccontextmanager
    async def used(self) -> AsyncIterator[httpx.AsyncClient]:
        """The client, which stays open meanwhile.

        Raises:
            EngineUnavailable: it has been closed.
        """
        if self.client.is_closed:
            raise EngineUnavailable("The upstream was given up; send the request again.")
        self._users += 1
        try:
            yield self.client
        finally:
            self._users -= 1
            if self._closing:
                await self.close()

    async def close(self) -> None:
        """At once, or when the last user has gone."""
        self._closing = True
        if not self._users:
            await self.client.aclose()


_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def no_answer(error: httpx.RequestError) -> EngineError:
    """Where it has the request, this may be what ended it."""
    kind = EngineUnavailable if isinstance(error, _NOT_SENT) else EngineDied
    return kind(f"The upstream does not answer ({type(error).__name__}).")
