"""What is asked of an OpenAI-compatible server: in OpenAI's own words, and in those of others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.engine.base import Generation, NextTokenQuery

_WITHOUT_TOP_K = -1
"""vLLM takes 0 for it as well, SGLang only this."""
TOP_LOGPROBS = (20, 2000)
"""How many likely tokens are asked for: as many as OpenAI's servers tell, and where the labels are
not among them, as many as llama.cpp's and SGLang's do. vLLM tells those in ``logprob_token_ids``.
"""


@dataclass(frozen=True, slots=True)
class Words:
    """A request's fields: OpenAI's, and those that only some servers know."""

    openai: dict[str, Any]
    others: dict[str, Any]

    @property
    def all(self) -> dict[str, Any]:
        return self.openai | self.others


def completion(model: str, request: Generation) -> Words:
    """What is not asked for stays out, since not all servers know it."""
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
    others = _going_on(request)
    if request.top_k is not None:
        others["top_k"] = request.top_k or _WITHOUT_TOP_K
    return Words(body, others)


def next_token_query(model: str, request: NextTokenQuery, most: int) -> Words:
    """For the next token's likeliest values, ``most`` of them, and the labels."""
    body = {
        "model": model,
        "messages": _messages(request),
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": most,
    }
    others = {
        "logprob_token_ids": list(request.token_ids),
        "return_tokens_as_token_ids": True,
        **_going_on(request),
    }
    return Words(body, others)


def _messages(request: Generation | NextTokenQuery) -> list[dict[str, str]]:
    turns = [(message.role, message.content) for message in request.messages]
    if request.prefix:
        turns.append(("assistant", request.prefix))
    return [{"role": role, "content": text} for role, text in turns]


def _going_on(request: Generation | NextTokenQuery) -> dict[str, Any]:
    """With the answer that has begun, in words of vLLM's that SGLang and llama.cpp know as well.

    Other servers go on with a last message that is the assistant's by themselves, or don't:
    :mod:`app.engine.openai_probe` finds out.
    """
    return (
        {"continue_final_message": True, "add_generation_prompt": False} if request.prefix else {}
    )
