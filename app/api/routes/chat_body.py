"""The body of a chat completion: what it may hold, by name, and that its messages are text.

An engine fetches what a content part points to (``image_url``, ``audio_url``, ``video_url``), loads
tensors (``image_embeds``, ``prompt_embeds``) and renders a template that comes with the request:
ways into the host and its network. So what is not known here to be harmless is refused, and what
goes on is written anew from what was checked. Names after vLLM 0.32's ``ChatCompletionRequest`` and
``renderers/chat_utils.py``; a test compares them.
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
"""What a chat without a paper may hold."""
_KNOWN = FOR_THE_ENGINE | set(PaperChatRequest.model_fields)

_MOST_MESSAGES = 1024
"""And content parts. vLLM checks each of them on the event loop."""
_MOST_OBJECTS = 100_000
_MOST_PARAMETERS = 1_000_000
"""Bytes of tools, schemas, tool calls: of all that is passed on without being looked into."""


class _Part(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    type: str
    text: str | UnsetType = UNSET
    file: Raw | UnsetType = UNSET


class _Message(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """OpenAI's; what an answer has beside its text (``audio``, ``annotations``) may come back."""

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
    """Where a file stands, and what its part holds."""

    message: int
    role: str
    file: Raw | UnsetType


@dataclass(frozen=True, slots=True)
class ChatBody:
    """A checked body. ``parameters`` are all but its messages, as they were sent."""

    parameters: dict[str, Raw]
    messages: list[_Message] | None
    files: list[FilePart]

    def for_engine(self, cache_salt: str | None) -> bytes:
        """What the engine gets, with that salt if there is one.

        Raises:
            InvalidRequest: a parameter is a review's.
        """
        for name in self.parameters:
            if name not in FOR_THE_ENGINE:
                raise InvalidRequest(
                    f"{name} is a parameter of a review, and no paper is attached.",
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
    """Takes a millisecond for each megabyte: off the loop.

    Raises:
        InvalidRequest: it is no chat, or one that the service does not let through.
        RequestTooLarge: it holds more than a chat needs.
    """
    if b'"file"' not in body:
        limits.check_json(len(body))
    if body.count(b"{") > _MOST_OBJECTS:
        raise RequestTooLarge(f"A chat may hold {_MOST_OBJECTS:,} objects.")
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
    """The file parts; every other part is text."""
    count = len(messages)
    for number, message in enumerate(messages):
        parts = _parts_of(number, message)
        count += len(parts)
        if count > _MOST_MESSAGES:
            raise InvalidRequest(
                f"A chat may hold {_MOST_MESSAGES} messages and content parts.", "messages"
            )
        for part in parts:
            if part.type == "file" and part.text is UNSET:
                yield FilePart(number, message.role, part.file)
            elif part.type != "text" or part.file is not UNSET or part.text is UNSET:
                raise _unsupported(number, f"this is one of the type {part.type[:80]!r}.")


def _parts_of(number: int, message: _Message) -> list[_Part]:
    """Content that is a text has none. What is checked is what goes on, and no second reading."""
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
        "A content part is {'type': 'text', 'text': ...}, or a file part with a PDF; nothing is "
        f"fetched, and there are no pictures and no sounds: {what}",
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
            f"Beside its messages a chat may hold {_MOST_PARAMETERS / 1e6:g} MB: tools, schemas, "
            "tool calls."
        )


def _check_template(raw: Raw | None) -> None:
    """The template's switches (``enable_thinking``); no template, and nothing to load one with."""
    kind: Any = dict[str, Scalar] | None
    given = decoded(raw, kind, "chat_template_kwargs") if raw is not None else None
    if given and "chat_template" in given:
        raise InvalidRequest(
            "The chat template is the model's own.", "chat_template_kwargs", code="unknown_field"
        )
