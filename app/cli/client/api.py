"""The service's HTTP API as Python calls, as far as the commands need it.

Whatever goes wrong is raised as a :class:`RequestFailed`, with the policy of ``app.failures`` that
says whether another try may help.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Any, Self

import httpx
import msgspec
from httpx_sse import ServerSentEvent, SSEError, aconnect_sse
from pydantic import Field, HttpUrl, TypeAdapter, ValidationError

from app.api.schemas.errors import ErrorDetail, ErrorEnvelope
from app.api.schemas.events import StreamError, StreamEvent
from app.api.schemas.health import VersionInfo
from app.api.schemas.requests import ReviewParameters
from app.api.schemas.review import Review, ReviewResource
from app.errors import ConfigurationError, InvalidRequest, ReviewerError
from app.failures import CONNECTION_LOST, NOT_REACHED, Cause, Policy, Retry, policy_of_answer
from app.paper.sources import File
from app.redaction import without_credentials

_CONNECT_S = 10.0
_ANSWER_S = 60.0
"""Longest that the service may take for an answer that needs no model; an event stream is never
silent for so long, because the service sends a comment every 15 s."""
_UNPROCESSABLE, _SERVER_ERROR = 422, 500
_WRONG_ADDRESS = Policy(Cause.REQUEST, Retry.NEVER)
_EVENT: TypeAdapter[StreamEvent] = TypeAdapter(Annotated[StreamEvent, Field(discriminator="type")])

Resource = dict[str, Any]
"""A review as the service sent it: a newer one may say more than this version knows."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a service listens. ``socket`` is the Unix socket of one on this machine."""

    url: str
    api_key: str | None = None
    socket: Path | None = None

    def __str__(self) -> str:
        return "the service" if self.socket else without_credentials(self.url)


class RequestFailed(ReviewerError):
    """The service answered with an error, or not at all."""

    def __init__(
        self, error: ErrorDetail, policy: Policy, retry_after_s: float | None = None
    ) -> None:
        """``retry_after_s``: how long the service asks to wait, where it says so."""
        super().__init__(error.message, error.param, str(error.code))
        self.error = error
        self.policy = policy
        self.retry_after_s = retry_after_s


class ApiClient:
    """One service. An async context manager; leaving it closes all connections."""

    def __init__(self, endpoint: Endpoint, connections: int = 1) -> None:
        """``connections``: how many requests may be open at the same time.

        Raises:
            ConfigurationError: the address or the key can't be right.
        """
        key = (endpoint.api_key or "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ConfigurationError("the API key contains invalid characters", "api_key")
        try:
            TypeAdapter(HttpUrl).validate_python(endpoint.url)
        except ValidationError as error:
            message = f"{endpoint} is not an address: {error.errors()[0]['msg']}"
            raise ConfigurationError(message, "url") from error
        self._endpoint = endpoint
        limits = httpx.Limits(max_connections=connections)
        self._client = httpx.AsyncClient(
            base_url=f"{endpoint.url.rstrip('/')}/",
            headers={"authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(_ANSWER_S, connect=_CONNECT_S, pool=None),
            transport=_transport(endpoint, limits),
            limits=limits,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def check_ready(self) -> None:
        """
        Raises:
            RequestFailed: the service is not ready for reviews; the message says why.
        """
        await self._send(self._client.build_request("GET", "readyz"))

    async def version(self) -> VersionInfo:
        """
        Raises:
            RequestFailed: there is no answer, or it is not one of this service.
        """
        response = await self._send(self._client.build_request("GET", "version"))
        try:
            return VersionInfo.model_validate_json(response.content)
        except ValidationError:
            raise self._no_answer("is not a reviewer service", _WRONG_ADDRESS) from None

    async def post_review(
        self,
        file: File,
        parameters: ReviewParameters,
        *,
        key: str | None = None,
        timeout_s: float = _ANSWER_S,
    ) -> Resource:
        """Ask for a review. ``key`` is an idempotency key; ``timeout_s`` bounds the answer.

        Raises:
            RequestFailed: the request was refused, or the review failed.
        """
        request = self._client.build_request(
            "POST",
            "v1/reviews",
            **_form(file, parameters),
            headers={"idempotency-key": key} if key else {},
            timeout=httpx.Timeout(timeout_s, connect=_CONNECT_S, pool=None),
        )
        return self._resource(await self._send(request))

    async def get_review(self, review_id: str, wait_s: float) -> Resource:
        """A review in whatever state it is once it has ended, or after ``wait_s``.

        Raises:
            RequestFailed: there is no such review, or the service does not answer.
        """
        request = self._client.build_request(
            "GET",
            f"v1/reviews/{review_id}",
            params={"wait": wait_s},
            timeout=httpx.Timeout(wait_s + _ANSWER_S, connect=_CONNECT_S, pool=None),
        )
        return self._resource(await self._send(request))

    async def cancel_review(self, review_id: str) -> None:
        """
        Raises:
            RequestFailed: it has ended already, or the service does not answer.
        """
        await self._send(self._client.build_request("POST", f"v1/reviews/{review_id}/cancel"))

    async def stream_review(
        self, file: File, parameters: ReviewParameters
    ) -> AsyncGenerator[StreamEvent, None]:
        """The events of a review while it is generated, of the types that this version knows.

        The last one is ``review.completed``.

        Raises:
            RequestFailed: the request was refused, or the review failed.
        """
        form = _form(file, parameters.model_copy(update={"stream": True}))
        with self._errors():
            async with aconnect_sse(self._client, "POST", "v1/reviews", **form) as source:
                if source.response.is_error:
                    await source.response.aread()
                    raise self._refusal(source.response)
                async with aclosing(source.aiter_sse()) as events:
                    async for event in events:
                        parsed = self._event(event)
                        if parsed:
                            yield parsed
                            if parsed.type == "review.completed":
                                return
        raise self._no_answer("ended its answer before it was complete", CONNECTION_LOST)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        with self._errors():
            response = await self._client.send(request)
        if response.is_success:
            return response
        raise self._refusal(response)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of the connection into ``RequestFailed``."""
        try:
            yield
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise self._failed(str(error), "invalid_url", _WRONG_ADDRESS) from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            message = f"does not answer: {error or type(error).__name__}"
            raise self._failed(message, "connection_failed", NOT_REACHED) from error
        except httpx.ReadTimeout as error:
            raise self._failed("took too long to answer", "timeout", CONNECTION_LOST) from error
        except SSEError as error:
            raise self._no_answer("answered, but not with events", CONNECTION_LOST) from error
        except httpx.RequestError as error:
            message = f"closed the connection: {error or type(error).__name__}"
            raise self._failed(message, "connection_lost", CONNECTION_LOST) from error

    def _refusal(self, response: httpx.Response) -> RequestFailed:
        """The exception for an error response, whose body has been read."""
        try:
            error = ErrorEnvelope.model_validate_json(response.content).error
        except ValidationError:
            # A proxy's answer, or that of some other server.
            policy = policy_of_answer(response.status_code, None)
            return self._no_answer(
                f"answered {response.status_code}, but not as a reviewer service does",
                policy,
                _retry_after(response),
            )
        policy = policy_of_answer(response.status_code, str(error.code))
        return RequestFailed(error, policy, _retry_after(response))

    def _resource(self, response: httpx.Response) -> Resource:
        try:
            resource = msgspec.json.decode(response.content, type=Resource)
            shape = Review if resource.get("status") == "completed" else ReviewResource
            shape.model_validate_json(response.content, strict=True)
        except ValueError:  # also pydantic's and msgspec's
            raise self._no_answer("answered, but not with a review", CONNECTION_LOST) from None
        return resource

    def _event(self, event: ServerSentEvent) -> StreamEvent | None:
        """None for a type of event that this version does not know."""
        try:
            parsed = _EVENT.validate_json(event.data)
        except ValidationError as error:
            if error.errors()[0]["type"] == "union_tag_invalid":
                return None
            raise self._no_answer("sent an invalid event", CONNECTION_LOST) from error
        if isinstance(parsed, StreamError):
            raise failed_review(parsed.error)
        return parsed

    def _no_answer(
        self, message: str, policy: Policy, retry_after_s: float | None = None
    ) -> RequestFailed:
        return self._failed(message, "no_answer", policy, retry_after_s)

    def _failed(
        self, message: str, code: str, policy: Policy, retry_after_s: float | None = None
    ) -> RequestFailed:
        error = client_error(f"{self._endpoint} {message}", code)
        return RequestFailed(error, policy, retry_after_s)


def client_error(message: str, code: str, param: str | None = None) -> ErrorDetail:
    """An error that the client found itself, in the format of the service's errors.

    Its type is the one that the output of a batch shows.
    """
    return ErrorDetail(message=message, type="batch_error", param=param, code=code)


def failed_review(error: ErrorDetail) -> RequestFailed:
    """The error of a review that was accepted and failed later, which has no HTTP status."""
    status = _UNPROCESSABLE if error.type == InvalidRequest.type else _SERVER_ERROR
    return RequestFailed(error, policy_of_answer(status, str(error.code)))


def _form(file: File, parameters: ReviewParameters) -> dict[str, Any]:
    return {
        "files": {"file": (file.name, file.data, "application/octet-stream")},
        "data": parameters.model_dump(mode="json", exclude_defaults=True),
    }


def _transport(endpoint: Endpoint, limits: httpx.Limits) -> httpx.AsyncHTTPTransport | None:
    """The transport for a Unix socket; None for httpx's own, which use HTTP_PROXY and the like."""
    if endpoint.socket is None:
        return None
    return httpx.AsyncHTTPTransport(uds=str(endpoint.socket), limits=limits)


def _retry_after(response: httpx.Response) -> float | None:
    """The delay of a Retry-After header in seconds, from a number or a date (RFC 9110, 10.2.3);
    None if the header has neither.
    """
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
