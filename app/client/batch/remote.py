"""Reviews by a running service, over HTTP."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx
import msgspec
from pydantic import HttpUrl, TypeAdapter, ValidationError

from app.client.batch.reviewer import Refused, failure, refusal
from app.errors import ConfigurationError
from app.paper.sources import File
from app.schemas.errors import ErrorDetail, ErrorEnvelope
from app.schemas.health import VersionInfo
from app.schemas.requests import ReviewParameters
from app.schemas.review import Review

_CONNECT_S, _VERSION_S = 10.0, 30.0
_NOT_REACHED = (httpx.ConnectError, httpx.ConnectTimeout)


class RemoteReviewer:
    """Implements :class:`app.client.batch.reviewer.Reviewer`."""

    def __init__(self, url: str, api_key: str | None, at_once: int, timeout_s: float) -> None:
        """``timeout_s`` is the longest that one review may take, in seconds.

        Raises:
            ConfigurationError: address or key can't be right.
        """
        key = (api_key or "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ConfigurationError("the API key holds characters that no key has", "api_key")
        self._url = url.rstrip("/")
        try:
            TypeAdapter(HttpUrl).validate_python(url)
        except ValidationError as error:
            told = f"{url} is no address: {error.errors()[0]['msg']}"
            raise ConfigurationError(told, "url") from error
        self._client = httpx.AsyncClient(
            base_url=f"{self._url}/",
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S, pool=None),
            limits=httpx.Limits(max_connections=at_once),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def start(self) -> str:
        request = self._client.build_request("GET", "version", timeout=_VERSION_S)
        response = await self._answer(request)
        try:
            version = VersionInfo.model_validate_json(response.content)
        except ValidationError:
            raise Refused(failure(f"{self._url} is no reviewer", "no_answer"), "run") from None
        if version.model is None:
            raise Refused(failure("its model is not ready", "engine_unavailable"), "away")
        return version.model

    async def review(self, file: File, asked: ReviewParameters) -> dict[str, Any]:
        request = self._client.build_request(
            "POST",
            "v1/reviews",
            files={"file": (file.name, file.data, "application/octet-stream")},
            data=asked.model_dump(mode="json", exclude_defaults=True),
        )
        response = await self._answer(request)
        try:
            Review.model_validate_json(response.content, strict=True)
            # As it came: a newer service may tell more than we know of.
            review: dict[str, Any] = msgspec.json.decode(response.content)
        except ValueError:  # also pydantic's and msgspec's
            told = f"{self._url} answered, and it is no review"
            raise Refused(failure(told, "no_answer"), "service") from None
        return review

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await self._client.send(request)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise Refused(failure(f"{self._url}: {error}", "invalid_url"), "run") from error
        except _NOT_REACHED as error:
            told = f"{self._url} does not answer: {error or type(error).__name__}"
            raise Refused(failure(told, "connection_failed"), "away") from error
        except httpx.ReadTimeout as error:
            told = f"{self._url} took too long to answer"
            raise Refused(failure(told, "timeout"), "service") from error
        except httpx.RequestError as error:
            told = f"{self._url} hung up: {error or type(error).__name__}"
            raise Refused(failure(told, "connection_lost"), "service") from error
        if response.is_success:
            return response
        raise refusal(response.status_code, _detail(response), self._url, _retry_after(response))


def _detail(response: httpx.Response) -> ErrorDetail | None:
    try:
        return ErrorEnvelope.model_validate_json(response.content).error
    except ValidationError:
        return None


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, or until a date (RFC 9110, 10.2.3); None where it says neither."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
