"""Validates the body of a chat completion: only known parameters, and only text in messages.

An engine may fetch URLs in content parts (``image_url``, ``audio_url``, ``video_url``), load
tensors (``image_embeds``, ``prompt_embeds``) and render a template from the request. All of these
are ways into the host and its network. So only what is known to be harmless is accepted, and the
engine gets a body that is encoded anew from the checked parts. The names are those of vLLM 0.32's
``ChatCompletionRequest`` and ``renderers/chat_utils.py``; a test compares them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from app.api.body_limits import BodyLimits
from app.api.routes.json_body import Scalar, decoded, fields_of
from app.api.schemas.chat import PaperChatRequest
from app.errors import InvalidRequest, RequestTooLarge

_SAMPLING = """
    frequency_penalty presence_penalty repetition_penalty temperature top_p top_k min_p seed n
    max_tokens max_completion_tokens min_tokens stop stop_token_ids include_stop_str_in_output
    ignore_eos skip_special_tokens spaces_between_special_tokens logit_bias bad_words
    allowed_token_ids use_beam_search length_penalty truncate_prompt_tokens truncation_side
    repetition_detection thinking_token_budget watermarking
"""
_ANSWER = """
    logprobs top_logprobs prompt_logprobs logprob_token_ids return_tokens_as_token_ids
    return_token_ids return_prompt_text return_token_offsets response_format structured_outputs
    stream stream_options stream_interval echo include_reasoning
"""
_PROMPT = """
    add_generation_prompt continue_final_message add_special_tokens chat_template_kwargs documents
    tools tool_choice parallel_tool_calls reasoning_effort
"""
_WITHOUT_EFFECT = """
    user metadata store service_tier safety_identifier prompt_cache_key verbosity session_id
"""
FOR_THE_ENGINE = frozenset(
    f"model messages cache_salt {_SAMPLING} {_ANSWER} {_PROMPT} {_WITHOUT_EFFECT}".split()
)
"""Parameters of a chat without a paper."""
_KNOWN = FOR_THE_ENGINE | set(PaperChatRequest.model_fields)

_MOST_MESSAGES = 1024
"""Most messages and content parts. vLLM checks each of them on the event loop."""
_MOST_OBJECTS = 100_000
_MOST_PARAMETERS = 1_000_000
"""Most bytes of what is passed on unread: tools, schemas, tool calls."""


class _Part(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    type: str
    text: str | UnsetType = UNSET
    file: Raw | UnsetType = UNSET


class _Message(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """OpenAI's message. Fields of an answer (``audio``, ``annotations``) may be sent back."""

    role: str
    content: Raw | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    refusal: str | UnsetType | None = UNSET
    reasoning: str | UnsetType | None = UNSET
    reasoning_content: str | UnsetType | None = UNSET
    tool_calls: Raw | UnsetType = UNSET
    tool_call_id: str | UnsetType | None = UNSET
    function_call: UnsetType | None = UNSET
    audio: UnsetType | None = UNSET
    annotations: Raw | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file part, with the index and the role of its message."""

    message: int
    role: str
    file: Raw | UnsetType


@dataclass(frozen=True, slots=True)
class ChatBody:
    """A checked body. ``parameters`` are all fields but the messages, as raw JSON."""

    parameters: dict[str, Raw]
    messages: list[_Message] | None
    files: list[FilePart]

    def for_engine(self, cache_salt: str | None) -> bytes:
        """The body for the engine, with ``cache_salt`` if it is given.

        Raises:
            InvalidRequest: a parameter is only for reviews.
        """
        for name in self.parameters:
            if name not in FOR_THE_ENGINE:
                raise InvalidRequest(
                    f"{name} is a parameter of reviews, but no paper is attached.",
                    name,
                    code="unknown_field",
                )
        whole: dict[str, Any] = dict(self.parameters)
        if self.messages is not None:
            whole["messages"] = self.messages
        if cache_salt is not None:
            whole["cache_salt"] = cache_salt
        return msgspec.json.encode(whole)


def read_chat(body: bytes, limits: BodyLimits) -> ChatBody:
    """Decode and check a chat's body. Takes a millisecond per megabyte: call it in a thread.

    Raises:
        InvalidRequest: the body is not a valid chat, or not allowed.
        RequestTooLarge: the body is too large.
    """
    if b'"file"' not in body:
        limits.check_json(len(body))
    if body.count(b"{") > _MOST_OBJECTS:
        raise RequestTooLarge(f"A chat may have at most {_MOST_OBJECTS:,} JSON objects.")
    parameters = fields_of(body, _KNOWN)
    raw = parameters.pop("messages", None)
    messages = None if raw is None else decoded(raw, list[_Message], "messages")
    files = list(_checked(messages or []))
    beside = len(body) - sum(len(part.file) for part in files if isinstance(part.file, Raw))
    limits.check_json(beside)
    _check_amount(parameters, messages or [])
    _check_template(parameters.get("chat_template_kwargs"))
    return ChatBody(parameters, messages, files)


def _checked(messages: list[_Message]) -> Iterator[FilePart]:
    """The file parts. All other parts are checked to be text."""
    count = len(messages)
    for number, message in enumerate(messages):
        parts = _parts_of(number, message)
        count += len(parts)
        if count > _MOST_MESSAGES:
            raise InvalidRequest(
                f"A chat may have at most {_MOST_MESSAGES} messages and content parts.",
                "messages",
            )
        for part in parts:
            if part.type == "file" and part.text is UNSET:
                yield FilePart(number, message.role, part.file)
            elif part.type != "text" or part.file is not UNSET or part.text is UNSET:
                raise _unsupported(number, f"this part has the type {part.type[:80]!r}.")


def _parts_of(number: int, message: _Message) -> list[_Part]:
    """The content parts of a message; none if its content is a text.

    The parts are encoded again, so that the engine reads exactly what was checked.
    """
    if isinstance(message.content, UnsetType):
        return []
    kind: Any = str | list[_Part] | None
    try:
        content = decoded(message.content, kind)
    except InvalidRequest as error:
        if error.code == "invalid_json":
            raise
        raise _unsupported(number, error.message) from error
    if not isinstance(content, list):
        return []
    if all(part.type == "text" for part in content):
        message.content = Raw(msgspec.json.encode(content))
    return content


def _unsupported(number: int, what: str) -> InvalidRequest:
    return InvalidRequest(
        "A content part must be {'type': 'text', 'text': ...}, or a file part with a PDF; URLs, "
        f"images and audio are not supported: {what}",
        param=f"messages.{number}.content",
        code="unsupported_content_part",
    )


def _check_amount(parameters: dict[str, Raw], messages: list[_Message]) -> None:
    beside = sum(len(raw) for raw in parameters.values()) + sum(
        len(raw)
        for message in messages
        for raw in (message.tool_calls, message.annotations)
        if isinstance(raw, Raw)
    )
    if beside > _MOST_PARAMETERS:
        raise RequestTooLarge(
            f"A chat's tools, schemas and tool calls may have at most {_MOST_PARAMETERS / 1e6:g} "
            "MB."
        )


def _check_template(raw: Raw | None) -> None:
    """Allow the chat template's switches (``enable_thinking``), but not a template."""
    kind: Any = dict[str, Scalar] | None
    given = decoded(raw, kind, "chat_template_kwargs") if raw is not None else None
    if given and "chat_template" in given:
        raise InvalidRequest(
            "The chat template can't be replaced.", "chat_template_kwargs", code="unknown_field"
        )
