"""An engine that sends its requests to another OpenAI-compatible server, for example vLLM, SGLang,
llama.cpp or Docker Model Runner.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from httpx_sse import EventSource, SSEError

from app.engine.base import (
    Delta,
    FinishReason,
    Generation,
    NextTokenLogprobs,
    NextTokenQuery,
    ServedModel,
    Usage,
)
from app.engine.model_entry import ModelSource
from app.engine.models import ALIASES, find_source, locate, sampling_of
from app.engine.openai_answers import (
    BLAMES_THE_REQUEST,
    Chunk,
    NextTokenCompletion,
    finish_reason,
)
from app.engine.openai_probe import TRIALS, Skills, skills
from app.engine.openai_requests import TOP_LOGPROBS, Body, completion, next_token_query
from app.engine.tokenizer import ChatTokenizer
from app.engine.upstream_connection import UpstreamConnection, no_answer
from app.engine.upstream_relay import relay
from app.errors import (
    ConstraintFailed,
    EngineDied,
    EngineError,
    EngineOverloaded,
    InvalidRequest,
    UpstreamError,
)
from app.redaction import without_credentials
from app.settings import Settings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)


async def launch(settings: Settings) -> UpstreamEngine:
    """Find the upstream's model and load its tokenizer.

    Raises:
        EngineUnavailable: the upstream does not answer.
        ConfigurationError: it does not serve the model, or the tokenizer can't be found.
    """
    connection = UpstreamConnection(settings)
    try:
        card = await connection.model_card(settings.model)
        source = _tokenizer_source(settings.upstream_tokenizer or card.id)
        location = await asyncio.to_thread(locate, source, settings.cache_dir, weights=False)
        tokenizer = await asyncio.to_thread(_tokenizer_at, location)
    except BaseException:
        await connection.close()
        raise
    model = ServedModel(
        name=card.id,
        max_model_len=min(settings.max_model_len, card.context or settings.max_model_len),
        max_tokens=settings.max_tokens or source.max_tokens,
        max_prompt_tokens=settings.prompt_tokens or source.max_prompt_tokens,
        notice=source.notice,
        sampling=sampling_of(source, location),
        version=f"upstream {without_credentials(str(settings.upstream_url).partition('?')[0])}",
    )
    # Only vLLM, of the servers that we know, names itself as the model's owner.
    return UpstreamEngine(connection, model, tokenizer, is_vllm=card.owned_by == "vllm")


class UpstreamEngine:
    """Implements :class:`app.engine.base.Engine`."""

    def __init__(
        self,
        connection: UpstreamConnection,
        model: ServedModel,
        tokenizer: ChatTokenizer,
        *,
        is_vllm: bool = False,
    ) -> None:
        self._connection = connection
        self.model = model
        self.tokenizer = tokenizer
        self.takes_cache_salt = is_vllm
        self._is_vllm = is_vllm
        self._skills: Skills | None = (
            Skills(continues=True, returns_logprobs=True) if is_vllm else None
        )
        self._probing = asyncio.Lock()

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        ends = _Ends()
        try:
            async with aclosing(self._samples(request, ends)) as deltas:
                async for delta in deltas:
                    yield delta
        except EngineOverloaded:
            raise
        except (InvalidRequest, EngineError) as failure:
            if request.structure is None:
                raise
            for delta in ends.deltas():
                yield delta
            # The structure may be the cause. If it is not, the request fails without one as well.
            raise ConstraintFailed(failure) from failure
        for delta in ends.deltas():
            yield delta

    async def _samples(self, request: Generation, ends: _Ends) -> AsyncGenerator[Delta, None]:
        """The text of all samples. ``ends`` is filled with how they ended.

        Samples that the server does not generate in parallel are requested one by one: llama.cpp
        refuses an ``n`` above its number of slots, and other servers ignore ``n`` and return one.
        """
        if request.prefix and not (await self._probed()).continues:
            raise UpstreamError("The upstream can't continue the beginning of an answer.")
        begun: set[int] = set()
        try:
            async with aclosing(self._texts(request, ends)) as deltas:
                async for delta in deltas:
                    begun.add(delta.index)
                    yield delta
        except InvalidRequest:
            if request.n == 1:
                raise
        for index in range(request.n):
            if index not in ends.reasons and index not in begun:
                single_ends = _Ends()
                # With the same seed, all samples would be the same.
                seed = None if request.seed is None else request.seed + index
                single = replace(request, n=1, seed=seed)
                async with aclosing(self._texts(single, single_ends)) as deltas:
                    async for delta in deltas:
                        yield replace(delta, index=index)
                ends.add(index, single_ends)
        if len(ends.reasons) < request.n:
            raise UpstreamError(
                f"The upstream returned {len(ends.reasons)} of {request.n} samples."
            )

    async def _texts(self, request: Generation, ends: _Ends) -> AsyncGenerator[Delta, None]:
        """The text of one streamed completion. ``ends`` is filled with its end and usage."""
        body = completion(self.model.name, request)
        async with self._post(body, request.cache_salt) as response:
            async for chunk in _chunks(response):
                self._connection.answered()
                ends.usage = chunk.usage.counted() if chunk.usage else ends.usage
                for choice in chunk.choices or ():
                    index = range(request.n)[choice.index]
                    if choice.finish_reason:
                        ends.reasons[index] = finish_reason(choice.finish_reason)
                    if choice.delta.content:
                        yield Delta(choice.delta.content, index=index)
        if not ends.reasons:
            raise EngineDied("The upstream's answer ended before it was complete.")

    async def next_token_logprobs(self, request: NextTokenQuery) -> NextTokenLogprobs:
        if not (await self._probed()).reads_verdicts:
            return NextTokenLogprobs({}, Usage())
        ids = {f"token_id:{token}": token for token in request.token_ids}
        ids |= {self.tokenizer.decode([token]): token for token in request.token_ids}
        logprobs: dict[int, float] = {}
        usage = Usage()
        for count in TOP_LOGPROBS:
            try:
                answer = await self._next_token(request, count)
            except InvalidRequest:
                if count == TOP_LOGPROBS[0]:
                    raise
                break
            logprobs = answer.logprobs_of(ids)
            usage = answer.usage.counted() if answer.usage else usage
            if len(logprobs) == len(request.token_ids):
                break
        return NextTokenLogprobs(logprobs, usage)

    async def _next_token(self, request: NextTokenQuery, count: int) -> NextTokenCompletion:
        """The next token with the log-probabilities of the ``count`` most likely ones."""
        body = next_token_query(self.model.name, request, count)
        async with self._post(body, request.cache_salt) as response:
            answer = NextTokenCompletion.model_validate_json(await response.aread())
            self._connection.answered()
        return answer

    async def _probed(self) -> Skills:
        """The server's skills. The first call sends two requests of one token each."""
        async with self._probing:
            if self._skills is None:
                try:
                    alone, begun = [await self._next_token(trial, 2) for trial in TRIALS]
                except InvalidRequest as error:
                    log.info("the upstream returns no log-probabilities: %s", error.message)
                    self._skills = Skills(continues=False, returns_logprobs=False)
                else:
                    self._skills = skills(self.tokenizer, alone, begun)
                    log.info("the upstream: %s", self._skills)
            return self._skills

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        await relay(self._connection, scope, receive, send)

    def metrics(self) -> bytes:
        return b""

    async def died(self) -> str:
        return await self._connection.died(self.model.name)

    async def responds(self) -> None:
        """Returns at once: ``died`` polls the server, and each request has a time limit."""

    async def close(self) -> None:
        """Close the connections once the requests in flight have ended."""
        await self._connection.close()

    @asynccontextmanager
    async def _post(self, body: Body, cache_salt: str | None) -> AsyncIterator[httpx.Response]:
        """The response to a chat completion, with every failure as an error of ``app.errors``.

        A server other than vLLM that refuses the request gets it again without the fields that are
        not OpenAI's.
        """
        salt = {"cache_salt": cache_salt} if cache_salt and self.takes_cache_salt else {}
        bodies = [body.all | salt] if self._is_vllm else [body.all, body.openai]
        async with self._connection.used() as client, AsyncExitStack() as responses:
            try:
                for fields in bodies:
                    request = client.stream("POST", "chat/completions", json=fields)
                    response = await responses.enter_async_context(request)
                    if response.status_code not in BLAMES_THE_REQUEST:
                        break
                if not response.is_success:
                    raise self._connection.refusal(response.status_code, await response.aread())
                yield response
            except (SSEError, IndexError, ValueError) as error:
                raise UpstreamError(
                    f"The upstream's answer is not a chat completion ({type(error).__name__})."
                ) from error
            except httpx.RequestError as error:  # after SSEError, which is a subclass of it
                raise no_answer(error) from error


@lru_cache(maxsize=1)
def _tokenizer_at(location: Path) -> ChatTokenizer:
    """The tokenizer in this folder, loaded once, even if the upstream restarts many times.

    Loading takes seconds, slows the event loop, and not all of its memory is freed.
    """
    return ChatTokenizer.load(location)


def _tokenizer_source(name: str) -> ModelSource:
    return ALIASES.get(name) or find_source(name, cpu=True)


@dataclass(slots=True)
class _Ends:
    """The finish reasons of a request's completions, by index, and its usage."""

    reasons: dict[int, FinishReason] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    def add(self, index: int, single: _Ends) -> None:
        """Add a sample of the same prompt that had a request of its own."""
        self.reasons[index] = single.reasons[0]
        if self.usage.prompt:
            self.usage += replace(single.usage, prompt=0, cached=0)
        else:
            self.usage += single.usage

    def deltas(self) -> list[Delta]:
        return [Delta("", reason, self.usage, index) for index, reason in self.reasons.items()]


async def _chunks(response: httpx.Response) -> AsyncGenerator[Chunk, None]:
    """The chunks of a streamed completion."""
    async for event in EventSource(response).aiter_sse():
        if event.data == "[DONE]":
            return
        chunk = Chunk.model_validate_json(event.data)
        if chunk.error is not None:
            raise UpstreamError("The upstream failed while it generated the answer.")
        yield chunk
