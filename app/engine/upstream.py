"""The same requests, to any OpenAI-compatible server: vLLM, SGLang, Docker Model Runner."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from httpx_sse import EventSource, SSEError
from starlette.requests import Request
from starlette.responses import StreamingResponse

from app.disconnect import ClientGone, cancel_on_disconnect
from app.engine.base import (
    Delta,
    FinishReason,
    Generation,
    LabelLogprobs,
    LabelRead,
    ServedModel,
    Usage,
)
from app.engine.connection import Connection
from app.engine.models import ALIASES, ModelSource, find_source, locate, own_top_k
from app.engine.openai_answers import (
    Chunk,
    LabelCompletion,
    Refusal,
    TokenUsage,
)
from app.engine.tokenizer import ChatTokenizer
from app.errors import (
    ConstraintFailed,
    EngineDied,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    UpstreamError,
    UpstreamFailed,
)
from app.settings import Settings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

_FORWARDED_REQUEST_HEADERS = ("accept", "content-type")
_FORWARDED_RESPONSE_HEADERS = ("content-type", "retry-after", "x-request-id")
_WITHOUT_TOP_K = -1
"""vLLM takes 0 for it as well, SGLang only this."""
_MOST_TOP_LOGPROBS = 20
"""OpenAI's own limit; servers that know ``logprob_token_ids`` don't need it."""


async def launch(settings: Settings) -> UpstreamEngine:
    """Find the upstream's model and load its tokenizer.

    Raises:
        EngineUnavailable: the upstream does not answer.
        ConfigurationError: it does not serve the model, or the tokenizer can't be found.
    """
    connection = Connection(settings)
    try:
        card = await connection.model_card(settings.model)
        source = _tokenizer_source(settings.upstream_tokenizer or card.id)
        location = await asyncio.to_thread(locate, source, settings.cache_dir, weights=False)
        tokenizer = await asyncio.to_thread(ChatTokenizer.load, location)
    except BaseException:
        await connection.close()
        raise
    model = ServedModel(
        name=card.id,
        max_model_len=min(settings.max_model_len, card.max_model_len or settings.max_model_len),
        max_tokens=settings.max_tokens or source.max_tokens,
        max_prompt_tokens=settings.prompt_tokens or source.max_prompt_tokens,
        for_trial=source.for_trial,
        top_k=own_top_k(location),
        version=f"upstream {settings.upstream_url}",
    )
    # vLLM's own word, which no other server that we know says of itself.
    return UpstreamEngine(connection, model, tokenizer, is_vllm=card.owned_by == "vllm")


class UpstreamEngine:
    """Implements :class:`app.engine.base.Engine`."""

    def __init__(
        self,
        connection: Connection,
        model: ServedModel,
        tokenizer: ChatTokenizer,
        *,
        is_vllm: bool = False,
    ) -> None:
        self._connection = connection
        self.model = model
        self.tokenizer = tokenizer
        self.takes_cache_salt = is_vllm

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        ends = _Ends()
        try:
            async with aclosing(self._texts(request, ends)) as pieces:
                async for piece in pieces:
                    yield piece
        except EngineOverloaded:
            raise
        except (InvalidRequest, EngineError) as failure:
            if request.structure is None:
                raise
            for delta in ends.deltas():
                yield delta
            # The structure may be why. Where it is not, the same request without one fails, too.
            raise ConstraintFailed(failure) from failure
        if len(ends.reasons) < request.n:
            raise UpstreamError(f"The upstream wrote {len(ends.reasons)} of {request.n} samples.")
        for delta in ends.deltas():
            yield delta

    async def _texts(self, request: Generation, ends: _Ends) -> AsyncGenerator[Delta, None]:
        """What is written, piece by piece; ``ends`` gets the rest."""
        async with self._post(self._body(request)) as response:
            async for chunk in _chunks(response):
                self._connection.answered()
                ends.usage = _usage(chunk.usage) or ends.usage
                for choice in chunk.choices or ():
                    index = range(request.n)[choice.index]
                    if choice.finish_reason:
                        ends.reasons[index] = _finish_reason(choice.finish_reason)
                    if choice.delta.content:
                        yield Delta(choice.delta.content, index=index)
        if not ends.reasons:
            raise EngineDied("The upstream ended its answer half-way.")

    def _body(self, request: Generation) -> dict[str, Any]:
        """In OpenAI's words; what is not asked for stays out, since not all servers know it."""
        body: dict[str, Any] = {
            "model": self.model.name,
            **_conversation(request),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.top_k is not None:
            body["top_k"] = request.top_k or _WITHOUT_TOP_K
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
            **_conversation(request),
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": _MOST_TOP_LOGPROBS,
            # The rest is vLLM's; other servers ignore what they do not know, and tell the labels'
            # probabilities where they are among the likeliest.
            "logprob_token_ids": list(request.token_ids),
            "return_tokens_as_token_ids": True,
            **self._salt(request),
        }
        async with self._post(body) as response:
            answer = LabelCompletion.model_validate_json(await response.aread())
            self._connection.answered()
        names: dict[str, int] = {}
        for token in request.token_ids:
            names[f"token_id:{token}"] = token
            names[self.tokenizer.decode([token])] = token
        found = {names[name]: logprob for name, logprob in answer.likely() if name in names}
        return LabelLogprobs(found, _usage(answer.usage) or Usage())

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request through as it is, streaming both ways."""
        request = Request(scope, receive)
        body = await request.body()
        async with self._connection.used() as client:
            outgoing = client.build_request(
                request.method,
                request.url.path.removeprefix("/v1/"),
                content=body,
                headers={
                    **_pick(request.headers, _FORWARDED_REQUEST_HEADERS),
                    "accept-encoding": "identity",
                },
            )
            try:
                answer = await cancel_on_disconnect(receive, client.send(outgoing, stream=True))
            except httpx.RequestError as error:
                raise _no_answer(error) from error
            except ClientGone:
                return
            headers = _pick(answer.headers, _FORWARDED_RESPONSE_HEADERS)
            response = StreamingResponse(self._relay(answer), answer.status_code, headers=headers)
            await response(scope, receive, send)

    async def _relay(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        try:
            async for chunk in answer.aiter_raw():
                if answer.is_success:
                    self._connection.answered()
                yield chunk
        except httpx.RequestError:
            if not answer.headers.get("content-type", "").startswith("text/event-stream"):
                raise  # half a JSON body: that the connection breaks off says it
            failure = EngineDied("The upstream failed half-way.")
            yield f"data: {json.dumps(failure.envelope())}\n\n".encode()
        finally:
            await answer.aclose()

    def metrics(self) -> bytes:
        return b""

    async def died(self) -> str:
        return await self._connection.died(self.model.name)

    async def close(self) -> None:
        """What is still being written goes on; the connections are closed after the last of it."""
        await self._connection.close()

    @asynccontextmanager
    async def _post(self, body: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        """The chat completion's response, with every failure in our terms."""
        async with self._connection.used() as client:
            try:
                async with client.stream("POST", "chat/completions", json=body) as response:
                    if not response.is_success:
                        await response.aread()
                        raise _refusal(response)
                    yield response
            except (SSEError, IndexError, ValueError) as error:
                raise UpstreamError(
                    f"The upstream's answer is not a chat completion ({type(error).__name__})."
                ) from error
            except httpx.RequestError as error:  # of which SSEError is one
                raise _no_answer(error) from error


def _tokenizer_source(name: str) -> ModelSource:
    return ALIASES.get(name) or find_source(name, cpu=True)


@dataclass(slots=True)
class _Ends:
    """How completions ended, by their index, and what they took."""

    reasons: dict[int, FinishReason] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    def deltas(self) -> list[Delta]:
        return [Delta("", reason, self.usage, index) for index, reason in self.reasons.items()]


def _conversation(request: Generation | LabelRead) -> dict[str, Any]:
    """The messages, and the answer that the model is to go on with where it has begun.

    Saying so in these two words is vLLM's way; other servers go on with a last message that is the
    assistant's by themselves.
    """
    turns = [(message.role, message.content) for message in request.messages]
    if request.prefix:
        turns.append(("assistant", request.prefix))
    body: dict[str, Any] = {"messages": [{"role": role, "content": text} for role, text in turns]}
    if request.prefix:
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    return body


async def _chunks(response: httpx.Response) -> AsyncGenerator[Chunk, None]:
    """Of a streamed completion."""
    async for event in EventSource(response).aiter_sse():
        if event.data == "[DONE]":
            return
        chunk = Chunk.model_validate_json(event.data)
        if chunk.error is not None:
            raise UpstreamFailed("The upstream failed half-way.")
        yield chunk


def _finish_reason(reason: str) -> FinishReason:
    """Servers have names of their own for an end that is the model's."""
    if reason in ("error", "content_filter"):
        raise UpstreamError(f"The upstream broke its answer off ({reason}).")
    if reason == "abort":
        raise EngineUnavailable("The upstream dropped the request; send it again.")
    return "length" if reason == "length" else "stop"


def _usage(usage: TokenUsage | None) -> Usage | None:
    if not usage:
        return None
    details = usage.prompt_tokens_details
    cached = details.cached_tokens if details else None
    return Usage(usage.prompt_tokens, usage.completion_tokens, cached or 0)


def _refusal(response: httpx.Response) -> EngineError | InvalidRequest:
    """An upstream's error in our terms; its own message and code where it blames the request."""
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return EngineOverloaded("The upstream's queue is full.")
    kind: type[EngineError] = UpstreamFailed if response.is_server_error else UpstreamError
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        kind = EngineUnavailable
    answers = f"The upstream answers {response.status_code}"
    try:
        refused = Refusal.model_validate_json(response.content).error
    except ValueError:
        return kind(f"{answers}.")
    if response.status_code in (400, 422):
        param = refused.param if isinstance(refused.param, str) else None
        code = refused.code if isinstance(refused.code, str) else None
        return InvalidRequest(refused.message, param, code)
    return kind(f"{answers}: {refused.message}")


_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def _no_answer(error: httpx.RequestError) -> EngineError:
    """Where it has the request, this may be what ended it."""
    kind = EngineUnavailable if isinstance(error, _NOT_SENT) else EngineDied
    return kind(f"The upstream does not answer ({type(error).__name__}).")


def _pick(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
