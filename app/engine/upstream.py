"""The same requests, to any OpenAI-compatible server: vLLM, SGLang, Docker Model Runner."""

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
from app.engine.models import ALIASES, ModelSource, find_source, locate, own_top_k
from app.engine.openai_answers import (
    BLAMES_THE_REQUEST,
    Chunk,
    LabelCompletion,
    finish_reason,
)
from app.engine.openai_probe import TRIALS, Skills, skills
from app.engine.openai_requests import TOP_LOGPROBS, Words, completion, next_token_query
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
        for_trial=source.for_trial,
        top_k=own_top_k(location),
        version=f"upstream {without_credentials(str(settings.upstream_url).partition('?')[0])}",
    )
    # vLLM's own word, which no other server that we know says of itself.
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
        self._known: Skills | None = (
            Skills(continues=True, returns_logprobs=True) if is_vllm else None
        )
        self._finding_out = asyncio.Lock()

    async def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        ends = _Ends()
        try:
            async with aclosing(self._samples(request, ends)) as pieces:
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
        for delta in ends.deltas():
            yield delta

    async def _samples(self, request: Generation, ends: _Ends) -> AsyncGenerator[Delta, None]:
        """Of several, those that the server does not write side by side, one after the other.

        llama.cpp refuses more than it has slots for; others ignore ``n``, and write one.
        """
        if request.prefix and not (await self._skills()).continues:
            raise UpstreamError("The upstream does not go on with an answer that has begun.")
        begun: set[int] = set()
        try:
            async with aclosing(self._texts(request, ends)) as pieces:
                async for piece in pieces:
                    begun.add(piece.index)
                    yield piece
        except InvalidRequest:
            if request.n == 1:
                raise
        for index in range(request.n):
            if index not in ends.reasons and index not in begun:
                one = _Ends()
                # With one seed they would all be the same.
                seed = None if request.seed is None else request.seed + index
                alone = replace(request, n=1, seed=seed)
                async with aclosing(self._texts(alone, one)) as pieces:
                    async for piece in pieces:
                        yield replace(piece, index=index)
                ends.add(index, one)
        if len(ends.reasons) < request.n:
            raise UpstreamError(f"The upstream wrote {len(ends.reasons)} of {request.n} samples.")

    async def _texts(self, request: Generation, ends: _Ends) -> AsyncGenerator[Delta, None]:
        """What is written, piece by piece; ``ends`` gets the rest."""
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
            raise EngineDied("The upstream ended its answer half-way.")

    async def next_token_logprobs(self, request: NextTokenQuery) -> NextTokenLogprobs:
        if not (await self._skills()).reads_verdicts:
            return NextTokenLogprobs({}, Usage())
        names = {f"token_id:{token}": token for token in request.token_ids}
        names |= {self.tokenizer.decode([token]): token for token in request.token_ids}
        of: dict[int, float] = {}
        usage = Usage()
        for most in TOP_LOGPROBS:
            try:
                answer = await self._label_answer(request, most)
            except InvalidRequest:
                if most == TOP_LOGPROBS[0]:
                    raise
                break
            of = answer.logprobs_of(names)
            usage = answer.usage.counted() if answer.usage else usage
            if len(of) == len(request.token_ids):
                break
        return NextTokenLogprobs(of, usage)

    async def _label_answer(self, request: NextTokenQuery, most: int) -> LabelCompletion:
        body = next_token_query(self.model.name, request, most)
        async with self._post(body, request.cache_salt) as response:
            answer = LabelCompletion.model_validate_json(await response.aread())
            self._connection.answered()
        return answer

    async def _skills(self) -> Skills:
        """What this server can do, found out by two requests of one token, once."""
        async with self._finding_out:
            if self._known is None:
                try:
                    alone, begun = [await self._label_answer(ask, 2) for ask in TRIALS]
                except InvalidRequest as error:
                    log.info("the upstream reads no probabilities: %s", error.message)
                    self._known = Skills(continues=False, returns_logprobs=False)
                else:
                    self._known = skills(self.tokenizer, alone, begun)
                    log.info("the upstream: %s", self._known)
            return self._known

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        await relay(self._connection, scope, receive, send)

    def metrics(self) -> bytes:
        return b""

    async def died(self) -> str:
        return await self._connection.died(self.model.name)

    async def responds(self) -> None:
        """Always: what counts as its end is up to ``died``, and each request has a time limit."""

    async def close(self) -> None:
        """What is still being written goes on; the connections are closed after the last of it."""
        await self._connection.close()

    @asynccontextmanager
    async def _post(self, words: Words, cache_salt: str | None) -> AsyncIterator[httpx.Response]:
        """The chat completion's response, with every failure in our terms.

        Who refuses the request with words that are not OpenAI's gets it without them.
        """
        salt = {"cache_salt": cache_salt} if cache_salt and self.takes_cache_salt else {}
        bodies = [words.all | salt] if self._is_vllm else [words.all, words.openai]
        async with self._connection.used() as client, AsyncExitStack() as answers:
            try:
                for body in bodies:
                    asked = client.stream("POST", "chat/completions", json=body)
                    response = await answers.enter_async_context(asked)
                    if response.status_code not in BLAMES_THE_REQUEST:
                        break
                if not response.is_success:
                    raise self._connection.refusal(response.status_code, await response.aread())
                yield response
            except (SSEError, IndexError, ValueError) as error:
                raise UpstreamError(
                    f"The upstream's answer is not a chat completion ({type(error).__name__})."
                ) from error
            except httpx.RequestError as error:  # of which SSEError is one
                raise no_answer(error) from error


@lru_cache(maxsize=1)
def _tokenizer_at(location: Path) -> ChatTokenizer:
    """Read once, however often the upstream goes away and comes back: that takes seconds in which
    the event loop gets little of the processor, and memory that is not given back whole.
    """
    return ChatTokenizer.load(location)


def _tokenizer_source(name: str) -> ModelSource:
    return ALIASES.get(name) or find_source(name, cpu=True)


@dataclass(slots=True)
class _Ends:
    """How completions ended, by their index, and what they took."""

    reasons: dict[int, FinishReason] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    def add(self, index: int, one: _Ends) -> None:
        """A sample that was drawn by itself, of the same prompt."""
        self.reasons[index] = one.reasons[0]
        more = replace(one.usage, prompt=0, cached=0) if self.usage.prompt else one.usage
        self.usage += more

    def deltas(self) -> list[Delta]:
        return [Delta("", reason, self.usage, index) for index, reason in self.reasons.items()]


async def _chunks(response: httpx.Response) -> AsyncGenerator[Chunk, None]:
    """Of a streamed completion."""
    async for event in EventSource(response).aiter_sse():
        if event.data == "[DONE]":
            return
        chunk = Chunk.model_validate_json(event.data)
        if chunk.error is not None:
            raise UpstreamError("The upstream failed half-way.")
        yield chunk
