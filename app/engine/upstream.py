"""The same requests, to any OpenAI-compatible server: vLLM, SGLang, Docker Model Runner."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
from httpx_sse import EventSource, SSEError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.disconnect import ClientGone, cancel_on_disconnect
from app.engine.base import (
    Delta,
    FinishReason,
    Generation,
    LabelLogprobs,
    LabelRead,
    Message,
    ServedModel,
    Usage,
)
from app.engine.models import ALIASES, ModelSource, find_source, locate
from app.engine.tokenizer import ChatTokenizer
from app.errors import (
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    UpstreamError,
)
from app.settings import Settings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

_HEALTH_POLL_S = 5.0
_TIMEOUT = httpx.Timeout(30.0, read=600.0)
_FORWARDED_REQUEST_HEADERS = ("accept", "content-type")
_FORWARDED_RESPONSE_HEADERS = ("content-type", "retry-after", "x-request-id")
_MOST_TOP_LOGPROBS = 20
"""OpenAI's own limit; servers that know ``logprob_token_ids`` don't need it."""


async def launch(settings: Settings) -> UpstreamEngine:
    """Find the upstream's model and load its tokenizer.

    Raises:
        EngineUnavailable: the upstream does not answer.
        ConfigurationError: it does not serve the model, or the tokenizer can't be found.
    """
    key = settings.upstream_api_key
    client = httpx.AsyncClient(
        base_url=str(settings.upstream_url).rstrip("/") + "/",
        headers={"authorization": f"Bearer {key.get_secret_value()}"} if key else {},
        timeout=_TIMEOUT,
        limits=httpx.Limits(max_connections=settings.max_queued_requests),
    )
    try:
        card = await _model_card(client, settings.model)
        source = _tokenizer_source(settings.upstream_tokenizer or card["id"])
        location = await asyncio.to_thread(locate, source, settings.cache_dir)
        tokenizer = await asyncio.to_thread(ChatTokenizer.load, location)
    except BaseException:
        await client.aclose()
        raise
    model = ServedModel(
        name=card["id"],
        max_model_len=min(settings.max_model_len, card.get("max_model_len") or 2**31),
        max_tokens=settings.max_tokens or source.max_tokens,
        max_prompt_tokens=settings.prompt_tokens or source.max_prompt_tokens,
        for_trial=source.for_trial,
        version=f"upstream {settings.upstream_url}",
    )
    # vLLM's own word, which no other server that we know says of itself.
    return UpstreamEngine(client, model, tokenizer, is_vllm=card.get("owned_by") == "vllm")


class UpstreamEngine:
    """Implements :class:`app.engine.base.Engine`."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        model: ServedModel,
        tokenizer: ChatTokenizer,
        *,
        is_vllm: bool = False,
    ) -> None:
        self._client = client
        self.model = model
        self.tokenizer = tokenizer
        self.takes_cache_salt = is_vllm

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        finished: dict[int, FinishReason] = {}
        usage = Usage()
        async with self._post(self._body(request)) as response:
            async for event in _events(response):
                usage = _usage(event.get("usage")) or usage
                for choice in event.get("choices") or ():
                    index = range(request.n)[choice.get("index", 0)]
                    if choice.get("finish_reason"):
                        finished[index] = choice["finish_reason"]
                    text = choice["delta"].get("content") or ""
                    if text:
                        yield Delta(text, index=index)
        if not finished:
            raise EngineUnavailable("The upstream ended its answer half-way.")
        if len(finished) < request.n:
            raise UpstreamError(f"The upstream wrote {len(finished)} of {request.n} samples.")
        for index, reason in finished.items():
            yield Delta("", reason, usage, index)

    def _body(self, request: Generation) -> dict[str, Any]:
        """In OpenAI's words; what is not asked for stays out, since not all servers know it."""
        body: dict[str, Any] = {
            "model": self.model.name,
            "messages": _wire(request.messages),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if request.structure is not None:
            body["response_format"] = request.structure
        if request.n > 1:
            body["n"] = request.n
        return body | self._salt(request)

    def _salt(self, request: Generation | LabelRead) -> dict[str, str]:
        if request.cache_salt is None or not self.takes_cache_salt:
            return {}
        return {"cache_salt": request.cache_salt}

    async def read_labels(self, request: LabelRead) -> LabelLogprobs:
        body = {
            "model": self.model.name,
            "messages": [
                *_wire(request.messages),
                {"role": "assistant", "content": request.prefix},
            ],
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": _MOST_TOP_LOGPROBS,
            # The rest is vLLM's; other servers ignore what they do not know, and tell the labels'
            # probabilities where they are among the likeliest.
            "logprob_token_ids": list(request.token_ids),
            "return_tokens_as_token_ids": True,
            "continue_final_message": True,
            "add_generation_prompt": False,
            **self._salt(request),
        }
        async with self._post(body) as response:
            await response.aread()
            answer = _json(response)
        names: dict[str, int] = {}
        for token in request.token_ids:
            names[f"token_id:{token}"] = token
            names[self.tokenizer.decode([token])] = token
        found: dict[int, float] = {}
        logprobs = answer["choices"][0].get("logprobs") or {}
        for position in logprobs.get("content") or ():
            for entry in (position, *position.get("top_logprobs", ())):
                if entry["token"] in names:
                    found[names[entry["token"]]] = entry["logprob"]
        return LabelLogprobs(found, _usage(answer.get("usage")) or Usage())

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request through as it is, streaming both ways."""
        request = Request(scope, receive)
        outgoing = self._client.build_request(
            request.method,
            request.url.path.removeprefix("/v1/"),
            content=await request.body(),
            headers={
                **_pick(request.headers, _FORWARDED_REQUEST_HEADERS),
                "accept-encoding": "identity",
            },
        )
        try:
            answer = await cancel_on_disconnect(receive, self._client.send(outgoing, stream=True))
        except httpx.HTTPError as error:
            failure = EngineUnavailable(f"The upstream does not answer ({type(error).__name__}).")
            response: Response = JSONResponse(failure.envelope(), failure.status)
        except ClientGone:
            return
        else:
            response = StreamingResponse(
                _relay(answer),
                answer.status_code,
                headers=_pick(answer.headers, _FORWARDED_RESPONSE_HEADERS),
            )
        await response(scope, receive, send)

    def metrics(self) -> bytes:
        return b""

    async def died(self) -> str:
        while True:
            await asyncio.sleep(_HEALTH_POLL_S)
            try:
                await _model_card(self._client, self.model.name)
            except EngineError as error:
                return error.message

    async def close(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def _post(self, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        """The chat completion's response, with every failure in our terms."""
        try:
            async with self._client.stream("POST", "chat/completions", json=body) as response:
                if response.is_error:
                    await response.aread()
                    raise _refusal(response)
                yield response
        except (SSEError, KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            raise UpstreamError(
                f"The upstream's answer is not a chat completion ({type(error).__name__})."
            ) from error
        except httpx.TransportError as error:  # of which SSEError is one
            raise EngineUnavailable(
                f"The upstream does not answer ({type(error).__name__})."
            ) from error


async def _relay(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


async def _model_card(client: httpx.AsyncClient, wanted: str) -> dict[str, Any]:
    """The upstream's entry for the model; its first one for ``auto``."""
    try:
        response = await client.get("models")
    except httpx.TransportError as error:
        raise EngineUnavailable(f"the upstream does not answer ({type(error).__name__})") from error
    if response.is_error:
        raise EngineUnavailable(f"the upstream answers {response.status_code}")
    cards: list[dict[str, Any]] = _json(response).get("data") or []
    for card in cards:
        if wanted in ("auto", card["id"]):
            return card
    names = ", ".join(card["id"] for card in cards) or "none"
    raise UpstreamError(f"the upstream has no model {wanted!r}; it has: {names}")


def _tokenizer_source(name: str) -> ModelSource:
    return ALIASES.get(name) or find_source(name, cpu=True)


def _wire(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError as error:
        raise UpstreamError("The upstream's answer is not JSON.") from error
    if not isinstance(body, dict):
        raise UpstreamError("The upstream's answer is not a JSON object.")
    return body


async def _events(response: httpx.Response) -> AsyncGenerator[dict[str, Any], None]:
    """The chunks of a streamed completion."""
    async for event in EventSource(response).aiter_sse():
        if event.data == "[DONE]":
            return
        chunk = json.loads(event.data)
        if "error" in chunk:
            raise EngineUnavailable("The upstream failed half-way.")
        yield chunk


def _usage(usage: dict[str, Any] | None) -> Usage | None:
    if not usage:
        return None
    details = usage.get("prompt_tokens_details") or {}
    return Usage(
        prompt=usage.get("prompt_tokens", 0),
        completion=usage.get("completion_tokens", 0),
        cached=details.get("cached_tokens") or 0,
    )


def _refusal(response: httpx.Response) -> EngineError | InvalidRequest:
    """An upstream's error in our terms; its own message and code where it blames the request."""
    try:
        error = response.json()["error"]
        message, code, param = str(error["message"]), error.get("code"), error.get("param")
    except (ValueError, KeyError, TypeError):
        return UpstreamError(f"The upstream answers {response.status_code}.")
    if response.status_code in (400, 422):
        return InvalidRequest(message, param, code if isinstance(code, str) else None)
    if response.status_code == 429:
        return EngineOverloaded("The upstream's queue is full.")
    if response.status_code == 503:
        return EngineUnavailable(f"The upstream is not available: {message}")
    return UpstreamError(f"The upstream answers {response.status_code}: {message}")


def _pick(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
