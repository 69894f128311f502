"""Forwards OpenAI requests to an upstream unchanged, and its responses to the client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.async_utils import ClientGone, cancel_on_disconnect
from app.engine.openai_answers import BLAMES_THE_REQUEST
from app.engine.upstream_connection import UpstreamConnection, no_answer
from app.errors import EngineDied

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

_REQUEST_HEADERS = ("accept", "content-type")
_RESPONSE_HEADERS = ("content-type", "retry-after", "x-request-id")
_FOR_THE_CLIENT = (*BLAMES_THE_REQUEST, 404, 413, 429)
"""Statuses of errors that the client can correct. Their text is forwarded without secrets; that of
other errors is not, as it may name the operator's hosts and accounts."""


async def relay(connection: UpstreamConnection, scope: Scope, receive: Receive, send: Send) -> None:
    """Forward one request and stream the response.

    Raises:
        EngineError: the upstream failed or did not answer.
    """
    request = Request(scope, receive)
    body = await request.body()
    async with connection.used() as client:
        outgoing = client.build_request(
            request.method,
            request.url.path.removeprefix("/v1/"),
            content=body,
            headers={**_pick(request.headers, _REQUEST_HEADERS), "accept-encoding": "identity"},
        )
        try:
            answer = await cancel_on_disconnect(receive, client.send(outgoing, stream=True))
        except httpx.RequestError as error:
            raise no_answer(error) from error
        except ClientGone:
            return
        response = await _response(connection, answer)
        await response(scope, receive, send)


async def _response(connection: UpstreamConnection, answer: httpx.Response) -> Response:
    headers = _pick(answer.headers, _RESPONSE_HEADERS)
    if answer.is_success:
        return StreamingResponse(_pieces(connection, answer), answer.status_code, headers=headers)
    try:
        content = await answer.aread()
    except httpx.RequestError as error:
        raise no_answer(error) from error
    finally:
        await answer.aclose()
    if answer.status_code not in _FOR_THE_CLIENT:
        raise connection.refusal(answer.status_code, content)
    text = connection.without_secrets(content.decode(errors="replace"))
    return Response(text, answer.status_code, headers=headers)


async def _pieces(connection: UpstreamConnection, answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            connection.answered()
            yield chunk
    except httpx.RequestError:
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            raise  # half a JSON body: closing the connection is the only way to report it
        failure = EngineDied("The upstream's answer ended before it was complete.")
        yield f"data: {json.dumps(failure.envelope())}\n\n".encode()
    finally:
        await answer.aclose()


def _pick(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
