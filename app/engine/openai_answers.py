"""What an OpenAI-compatible server answers, as far as we read it, and what that means in our terms.

Anything else is a ``pydantic.ValidationError``, which is a ``ValueError``.
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
    """One entry of ``GET /models``. vLLM and SGLang tell ``max_model_len``, llama.cpp ``meta``."""

    id: Annotated[str, Field(min_length=1)]
    owned_by: str | None = None
    max_model_len: Length | None = None
    meta: _ModelMeta | None = None

    @property
    def context(self) -> int | None:
        """The most tokens of a prompt and its completion, where the server tells."""
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


class Likely(_Answer):
    """A token and its log-probability. ``id`` is llama.cpp's own."""

    token: str
    id: Any = None
    logprob: Annotated[float, Field(allow_inf_nan=False)]


class _Position(Likely):
    top_logprobs: list[Likely] | None = None


class _Logprobs(_Answer):
    content: list[_Position] | None = None


class _LabelChoice(_Answer):
    logprobs: _Logprobs | None = None


class LabelCompletion(_Answer):
    """A chat completion of one token, with log-probabilities."""

    choices: Annotated[list[_LabelChoice], Field(min_length=1)]
    usage: TokenUsage | None = None

    def likely(self) -> list[Likely]:
        """Every token that it tells the log-probability of."""
        logprobs = self.choices[0].logprobs
        return [
            entry
            for position in (logprobs.content if logprobs else None) or ()
            for entry in (position, *(position.top_logprobs or ()))
        ]

    def logprobs_of(self, ids: Mapping[str, int]) -> dict[int, float]:
        """Of the tokens that ``ids`` has by their names, those that are told.

        A name that several tokens have, with probabilities of their own, tells nothing.
        """
        found: dict[int, set[float]] = {}
        for entry in self.likely():
            token = entry.id if isinstance(entry.id, int) else ids.get(entry.token)
            if token is not None and token in ids.values():
                found.setdefault(token, set()).add(entry.logprob)
        return {token: min(told) for token, told in found.items() if len(told) == 1}


def finish_reason(reason: str) -> FinishReason:
    """Servers have names of their own for an end that is the model's."""
    if reason in ("error", "content_filter"):
        raise UpstreamError(f"The upstream broke its answer off ({reason}).")
    if reason == "abort":
        raise EngineUnavailable("The upstream dropped the request; send it again.")
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
"""OpenAI's own, which vLLM and llama.cpp follow; SGLang's; FastAPI's, of ``transformers serve``."""

_CODE = re.compile(r"[a-z]+(_[a-z]+)*")
"""What servers name their errors by, and no key, host or account."""

BLAMES_THE_REQUEST = (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY)


def refusal(status: int, content: str) -> EngineError | InvalidRequest:
    """An upstream's error in our terms.

    Its own words (``content`` is without secrets) are for a client whose request it blames. Of
    any other failure they may name hosts and accounts that are the operator's.
    """
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return EngineOverloaded("The upstream's queue is full.")
    if status == httpx.codes.UNAUTHORIZED:
        return UpstreamRefused("The upstream refuses the service's key.")
    kind: type[EngineError] = UpstreamError
    if status == httpx.codes.SERVICE_UNAVAILABLE:
        kind = EngineUnavailable
    told = _told(content)
    code = told.code if told and isinstance(told.code, str) else None
    if told and status in BLAMES_THE_REQUEST:
        return InvalidRequest(
            told.message, told.param if isinstance(told.param, str) else None, code
        )
    known_as = f" ({code})" if code and _CODE.fullmatch(code) else ""
    return kind(f"The upstream answers {status}{known_as}.")


def _told(content: str) -> _Refused | None:
    try:
        told = _REFUSAL.validate_json(content)
    except ValueError:
        return None
    if isinstance(told, _Nested):
        return told.error
    return _Refused(message=told.detail) if isinstance(told, _Detailed) else told
