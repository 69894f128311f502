"""Bodies of requests to an OpenAI-compatible server, with fields that only some servers know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.engine.base import Generation, NextTokenQuery

_WITHOUT_TOP_K = -1
"""The ``top_k`` that means no limit. vLLM accepts 0 as well, SGLang only -1."""
TOP_LOGPROBS = (20, 2000)
"""How many of the likeliest tokens to request: first OpenAI's maximum; if the labels are not among
them, a number that llama.cpp and SGLang accept. vLLM returns the tokens in ``logprob_token_ids``.
"""


@dataclass(frozen=True, slots=True)
class Body:
    """A request's fields: those of OpenAI's API, and those that only other servers know."""

    openai: dict[str, Any]
    others: dict[str, Any]

    @property
    def all(self) -> dict[str, Any]:
        return self.openai | self.others


def completion(model: str, request: Generation) -> Body:
    """A streamed chat completion. Optional fields are left out unless needed: not all servers know
    them.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": _messages(request),
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
    others = _continuation(request)
    if request.top_k is not None:
        others["top_k"] = request.top_k or _WITHOUT_TOP_K
    if request.repetition_penalty is not None:
        others["repetition_penalty"] = request.repetition_penalty
    return Body(body, others)


def next_token_query(model: str, request: NextTokenQuery, count: int) -> Body:
    """A completion of one token, with the ``count`` likeliest tokens and the labels."""
    body = {
        "model": model,
        "messages": _messages(request),
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": count,
    }
    others = {
        "logprob_token_ids": list(request.token_ids),
        "return_tokens_as_token_ids": True,
        **_continuation(request),
    }
    return Body(body, others)


def _messages(request: Generation | NextTokenQuery) -> list[dict[str, str]]:
    turns = [(message.role, message.content) for message in request.messages]
    if request.prefix:
        turns.append(("assistant", request.prefix))
    return [{"role": role, "content": text} for role, text in turns]


def _continuation(request: Generation | NextTokenQuery) -> dict[str, Any]:
    """Fields that continue the beginning of an answer: vLLM's, also known to SGLang and llama.cpp.

    Other servers continue a final assistant message by default, or can't:
    :mod:`app.engine.openai_probe` finds out.
    """
    return (
        {"continue_final_message": True, "add_generation_prompt": False} if request.prefix else {}
    )
