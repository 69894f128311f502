"""Clients of the teacher models' APIs.

Their SDKs are imported when a client is created. A failed request raises one of three errors: it
may succeed if retried (:class:`Transient`), this prompt is refused (:class:`PromptRefused`), or no
request can succeed (:class:`training.errors.TeacherFailed`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import httpx2

from app.engine.base import Message
from app.review.parse import without_thinking
from training.errors import TeacherFailed
from training.recipe import Teach

if TYPE_CHECKING:
    from google.genai import types

INSTALL = "pip install --no-deps -r requirements/training.txt"
_HOPELESS = {401, 403, 404}
"""The key, the project or the model is wrong."""
_LENGTH = "max_completion_tokens"
_UNKNOWN_PARAMETER = {400, 422}
_PASSING = {408, 409, 425, 429}


@dataclass(frozen=True, slots=True)
class Answer:
    """A teacher's answer. ``text`` and ``completion_tokens`` do not include its thinking.

    ``finish_reason`` is the API's reason in lower case; ``stop`` for a complete answer.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    thinking_tokens: int


class Transient(Exception):
    """The request may succeed if retried, after ``after_s`` seconds if the server says so."""

    def __init__(self, message: str, after_s: float = 0.0) -> None:
        super().__init__(message)
        self.after_s = after_s


class PromptRefused(Exception):
    """The API refuses this prompt; others may succeed."""


class Teacher(Protocol):
    omitted: set[str]
    """Parameters that the endpoint refuses, so they are not sent."""

    async def ask(self, messages: Sequence[Message]) -> Answer:
        """The answer to a chat.

        Raises:
            Transient, PromptRefused, TeacherFailed: see the module's docstring.
        """
        ...

    async def aclose(self) -> None: ...


class OpenAITeacher:
    """Any OpenAI-compatible endpoint. ``OPENAI_API_KEY`` is the key."""

    def __init__(self, teach: Teach, base_url: str | None = None, key: str | None = None) -> None:
        import openai

        self._teach = teach
        self._errors = openai
        self.omitted: set[str] = set()
        try:
            self._client = openai.AsyncOpenAI(
                base_url=base_url or teach.base_url,
                api_key=key,
                max_retries=0,
                timeout=teach.timeout_s,
            )
        except openai.OpenAIError as error:
            raise TeacherFailed(f"the teacher's client can't be created: {error}") from error

    async def ask(self, messages: Sequence[Message]) -> Answer:
        try:
            # The SDK's types have a separate dict for each role.
            chat: Any = [{"role": turn.role, "content": turn.content} for turn in messages]
            done = await self._client.chat.completions.create(
                model=self._teach.model, messages=chat, extra_body=self._parameters()
            )
        except self._errors.APIStatusError as error:
            refused = self._refused_parameter(error.status_code, str(error))
            if refused:
                self.omitted.add(refused)
                return await self.ask(messages)
            retry_after = _seconds(error.response.headers.get("retry-after"))
            raise _failure(error.status_code, str(error), retry_after) from error
        except (self._errors.APIError, httpx2.HTTPError, ValueError) as error:
            # No connection, a timeout, or a connection that was lost during the answer.
            raise Transient(f"{type(error).__name__}: {error}") from error
        if not done.choices:
            raise Transient("the answer has no choices")
        choice, usage = done.choices[0], done.usage
        thinking = 0
        if usage and usage.completion_tokens_details:
            thinking = usage.completion_tokens_details.reasoning_tokens or 0
        text = without_thinking(choice.message.content or "")
        declined = bool(choice.message.refusal) and not text.strip()
        return Answer(
            text=text,
            finish_reason="refusal" if declined else choice.finish_reason or "",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens - thinking if usage else 0,
            thinking_tokens=thinking,
        )

    def _parameters(self) -> dict[str, object]:
        """The parameters as OpenAI's newest models take them, without those that this endpoint
        refuses: reasoning models take no temperature, many servers only know ``max_tokens``.
        """
        teach = self._teach
        parameters: dict[str, object] = {
            "temperature": teach.temperature,
            _LENGTH: teach.max_output_tokens,
        }
        if teach.thinking_level is not None:
            parameters["reasoning_effort"] = teach.thinking_level
        if _LENGTH in self.omitted:
            parameters["max_tokens"] = teach.max_output_tokens
        return {name: value for name, value in parameters.items() if name not in self.omitted}

    def _refused_parameter(self, status: int, message: str) -> str | None:
        """The parameter that an error message names, if the request can be sent without it."""
        if status not in _UNKNOWN_PARAMETER:
            return None
        sent = [name for name in ("temperature", _LENGTH) if name not in self.omitted]
        return next((name for name in sent if name in message), None)

    async def aclose(self) -> None:
        await self._client.close()


class GoogleTeacher:
    """Gemini on Vertex AI, with Application Default Credentials."""

    def __init__(self, teach: Teach) -> None:
        try:
            from google import genai
            from google.auth import exceptions
            from google.genai import errors, types
        except ImportError as error:
            raise TeacherFailed(f"google-genai is not installed: {INSTALL}") from error
        self._teach = teach
        self.omitted: set[str] = set()
        self._api_error: type[Any] = errors.APIError
        self._no_access: type[Exception] = exceptions.GoogleAuthError
        self._no_network: type[Exception] = exceptions.TransportError
        # Without it, the SDK uses aiohttp if that is installed, as it is with vLLM.
        self._http = httpx2.AsyncClient(timeout=teach.timeout_s)
        try:
            self._client = genai.Client(
                vertexai=True,
                project=teach.project or os.environ.get("GOOGLE_CLOUD_PROJECT"),
                location=teach.location or os.environ.get("GOOGLE_CLOUD_LOCATION") or "global",
                http_options=types.HttpOptions(
                    base_url=teach.base_url,
                    timeout=int(teach.timeout_s * 1000),
                    httpx_async_client=self._http,
                    # Retries are made in training.teach; by default the SDK retries once itself.
                    retry_options=types.HttpRetryOptions(attempts=1),
                ),
            )
        except (exceptions.GoogleAuthError, ValueError) as error:
            raise TeacherFailed(f"Vertex AI's client can't be created: {_line(error)}") from error
        self._config = types.GenerateContentConfig(
            temperature=teach.temperature,
            max_output_tokens=teach.max_output_tokens,
            thinking_config=_thinking(teach),
        )

    async def ask(self, messages: Sequence[Message]) -> Answer:
        system = "\n\n".join(turn.content for turn in messages if turn.role == "system")
        user = "\n\n".join(turn.content for turn in messages if turn.role == "user")
        try:
            done = await self._client.aio.models.generate_content(
                model=self._teach.model,
                contents=user,
                config=self._config.model_copy(update={"system_instruction": system}),
            )
        except self._api_error as error:
            raise _failure(error.code, _line(error)) from error
        except self._no_network as error:
            raise Transient(_line(error)) from error
        except self._no_access as error:
            raise TeacherFailed(f"Vertex AI refuses the credentials: {_line(error)}") from error
        except (httpx2.HTTPError, OSError, ValueError) as error:
            raise Transient(f"{type(error).__name__}: {error}") from error
        return _gemini_answer(done)

    async def aclose(self) -> None:
        await self._client.aio.aclose()
        await self._http.aclose()


def _thinking(teach: Teach) -> types.ThinkingConfig | None:
    from google.genai import types

    if teach.thinking_level is not None:
        return types.ThinkingConfig(thinking_level=types.ThinkingLevel(teach.thinking_level))
    if teach.thinking_budget is not None:
        return types.ThinkingConfig(thinking_budget=teach.thinking_budget)
    return None


def _gemini_answer(done: types.GenerateContentResponse) -> Answer:
    usage = done.usage_metadata
    candidate = done.candidates[0] if done.candidates else None
    parts = (candidate.content.parts or []) if candidate and candidate.content else []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    reason = candidate.finish_reason if candidate else None
    if candidate is None and done.prompt_feedback:
        reason = done.prompt_feedback.block_reason
    return Answer(
        text=without_thinking(text),
        finish_reason=reason.value.lower() if reason else "",
        prompt_tokens=(usage.prompt_token_count if usage else 0) or 0,
        completion_tokens=(usage.candidates_token_count if usage else 0) or 0,
        thinking_tokens=(usage.thoughts_token_count if usage else 0) or 0,
    )


def _failure(status: int, message: str, after_s: float = 0.0) -> Exception:
    if status in _PASSING or status >= 500:
        return Transient(f"{status}: {message}", after_s)
    if status in _HOPELESS:
        return TeacherFailed(f"the teacher refuses every request ({status}): {message}")
    return PromptRefused(f"{status}: {message}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _seconds(header: str | None) -> float:
    """The seconds of a Retry-After header; 0 if it is missing or a date."""
    try:
        return max(0.0, float(header or 0))
    except ValueError:
        return 0.0
