"""What an OpenAI-compatible server answers, as far as we read it; anything else is a
``pydantic.ValidationError``, which is a ``ValueError``.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class ModelCard(_Answer):
    """One entry of ``GET /models``. ``max_model_len`` is vLLM's and SGLang's own."""

    id: Annotated[str, Field(min_length=1)]
    owned_by: str | None = None
    max_model_len: Annotated[int, Field(ge=1)] | None = None


class ModelList(_Answer):
    data: list[ModelCard]


class _PromptDetails(_Answer):
    cached_tokens: Count | None = None


class TokenUsage(_Answer):
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    prompt_tokens_details: _PromptDetails | None = None


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


class _Likely(_Answer):
    token: str
    logprob: Annotated[float, Field(allow_inf_nan=False)]


class _Position(_Likely):
    top_logprobs: list[_Likely] | None = None


class _Logprobs(_Answer):
    content: list[_Position] | None = None


class _LabelChoice(_Answer):
    logprobs: _Logprobs | None = None


class LabelCompletion(_Answer):
    """A chat completion of one token, with log-probabilities."""

    choices: Annotated[list[_LabelChoice], Field(min_length=1)]
    usage: TokenUsage | None = None

    def likely(self) -> list[tuple[str, float]]:
        """Every token that it tells the log-probability of."""
        logprobs = self.choices[0].logprobs
        return [
            (entry.token, entry.logprob)
            for position in (logprobs.content if logprobs else None) or ()
            for entry in (position, *(position.top_logprobs or ()))
        ]


class _Refused(_Answer):
    message: str
    code: Any = None
    param: Any = None


class Refusal(_Answer):
    """The body of an answer whose status is an error."""

    error: _Refused
