"""Schemas of an OpenAI-compatible server's responses, as far as they are read here, and the errors
of ``app.errors`` that its errors become.

A response of another shape raises ``pydantic.ValidationError``, which is a ``ValueError``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from app.engine.base import FinishReason, Usage
from app.errors import (
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
    UpstreamError,
    UpstreamRefused,
)

Count = Annotated[int, Field(ge=0)]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


Length = Annotated[int, Field(ge=1)]


class _ModelMeta(_Answer):
    n_ctx: Length | None = None


class ModelCard(_Answer):
    """One entry of ``GET /models``. vLLM and SGLang have ``max_model_len``, llama.cpp ``meta``."""

    id: Annotated[str, Field(min_length=1)]
    owned_by: str | None = None
    max_model_len: Length | None = None
    meta: _ModelMeta | None = None

    @property
    def context(self) -> int | None:
        """The context length in tokens (prompt and completion); None if the server omits it."""
        return self.max_model_len or (self.meta.n_ctx if self.meta else None)


class ModelList(_Answer):
    data: list[ModelCard]


class _PromptDetails(_Answer):
    cached_tokens: Count | None = None


class TokenUsage(_Answer):
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    prompt_tokens_details: _PromptDetails | None = None

    def counted(self) -> Usage:
        cached = self.prompt_tokens_details.cached_tokens if self.prompt_tokens_details else None
        return Usage(self.prompt_tokens, self.completion_tokens, cached or 0)


class _Piece(_Answer):
    content: str | None = None


class _ChunkChoice(_Answer):
    index: Count = 0
    delta: _Piece
    finish_reason: str | None = None


class Chunk(_Answer):
    """The data of one event of a streamed chat completion."""

    choices: list[_ChunkChoice] | None = None
    usage: TokenUsage | None = None
    error: Any = None


class TokenLogprob(_Answer):
    """A token and its log-probability. Only llama.cpp returns ``id``."""

    token: str
    id: Any = None
    logprob: Annotated[float, Field(allow_inf_nan=False)]


class _Position(TokenLogprob):
    top_logprobs: list[TokenLogprob] | None = None


class _Logprobs(_Answer):
    content: list[_Position] | None = None


class _NextTokenChoice(_Answer):
    logprobs: _Logprobs | None = None


class NextTokenCompletion(_Answer):
    """A chat completion of one token, with log-probabilities."""

    choices: Annotated[list[_NextTokenChoice], Field(min_length=1)]
    usage: TokenUsage | None = None

    def token_logprobs(self) -> list[TokenLogprob]:
        """Every token whose log-probability was returned."""
        logprobs = self.choices[0].logprobs
        return [
            entry
            for position in (logprobs.content if logprobs else None) or ()
            for entry in (position, *(position.top_logprobs or ()))
        ]

    def logprobs_of(self, ids: Mapping[str, int]) -> dict[int, float]:
        """The log-probabilities, by id, of those tokens of ``ids`` that were returned.

        ``ids`` has a token's id by its text. A text that was returned with several probabilities
        belongs to several tokens, and is left out.
        """
        found: dict[int, set[float]] = {}
        for entry in self.token_logprobs():
            token = entry.id if isinstance(entry.id, int) else ids.get(entry.token)
            if token is not None and token in ids.values():
                found.setdefault(token, set()).add(entry.logprob)
        return {token: min(values) for token, values in found.items() if len(values) == 1}


def finish_reason(reason: str) -> FinishReason:
    """The engine's finish reason. Servers have several names for a model's own end.

    Raises:
        UpstreamError: the server did not complete the answer.
        EngineUnavailable: it aborted the request.
    """
    if reason in ("error", "content_filter"):
        raise UpstreamError(f"The upstream did not complete its answer ({reason}).")
    if reason == "abort":
        raise EngineUnavailable("The upstream aborted the request; send it again.")
    return "length" if reason == "length" else "stop"


class _Refused(_Answer):
    message: str
    code: Any = None
    param: Any = None


class _Nested(_Answer):
    error: _Refused


class _Detailed(_Answer):
    detail: str


_REFUSAL: TypeAdapter[_Nested | _Refused | _Detailed] = TypeAdapter(_Nested | _Refused | _Detailed)
"""The three formats of an error: OpenAI's (also vLLM's and llama.cpp's), SGLang's, and FastAPI's
(``transformers serve``)."""

_CODE = re.compile(r"[a-z]+(_[a-z]+)*")
"""The form of an error's code. A key, host or account does not have it."""

BLAMES_THE_REQUEST = (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY)


def refusal(status: int, content: str) -> EngineError | InvalidRequest:
    """The exception for an error response; ``content`` is its body without secrets.

    The upstream's message is kept if it blames the request. That of any other error may name the
    operator's hosts and accounts, and is left out.
    """
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return EngineOverloaded("The upstream's queue is full.")
    if status == httpx.codes.UNAUTHORIZED:
        return UpstreamRefused("The upstream refuses the service's key.")
    kind: type[EngineError] = UpstreamError
    if status == httpx.codes.SERVICE_UNAVAILABLE:
        kind = EngineUnavailable
    parsed = _parsed(content)
    code = parsed.code if parsed and isinstance(parsed.code, str) else None
    if parsed and status in BLAMES_THE_REQUEST:
        return InvalidRequest(
            parsed.message, parsed.param if isinstance(parsed.param, str) else None, code
        )
    known_as = f" ({code})" if code and _CODE.fullmatch(code) else ""
    return kind(f"The upstream answers {status}{known_as}.")


def _parsed(content: str) -> _Refused | None:
    try:
        refusal = _REFUSAL.validate_json(content)
    except ValueError:
        return None
    if isinstance(refusal, _Nested):
        return refusal.error
    return _Refused(message=refusal.detail) if isinstance(refusal, _Detailed) else refusal
