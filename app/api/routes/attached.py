"""Reads the paper that is attached to a chat completion, and the review's parameters."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec
from msgspec import Raw, UnsetType

from app.api.body_limits import BodyLimits
from app.api.routes.chat_body import ChatBody, FilePart
from app.api.routes.json_body import decoded
from app.api.routes.submission import validated
from app.api.schemas.chat import PaperChatRequest
from app.errors import InvalidRequest
from app.paper.sources import File

_DATA_URL = re.compile(
    r"data:(?P<type>[^;,]{0,200})(;[\w.+-]{1,50}=[^;,]{0,300}){0,8}(?P<base64>;base64)?,",
    re.IGNORECASE,
)
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (None, 0),
    "presence_penalty": (None, 0),
    "stop": (None, "", []),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "parallel_tool_calls": (None, True, False),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "response_format": (None,),
    "stream_options": (None,),
    "max_completion_tokens": (None,),
    "max_tokens": (None,),
    "seed": (None,),
}
"""Parameters with values that mean the same as leaving them out. Clients send such defaults."""
_PDF = "application/pdf"
_PIECE = 2**18
"""Characters of base64 that are decoded at a time; other threads can run in between."""


class _File(msgspec.Struct):
    """OpenAI's file object. File ids are not supported."""

    file_data: str | None = None
    filename: str | None = None


def paper_request(chat: ChatBody, limits: BodyLimits) -> tuple[PaperChatRequest, File] | None:
    """The request and its paper; None without a paper, so that the engine answers the chat.

    Raises:
        InvalidRequest: the attachment is not a PDF, or a parameter is not possible with one.
    """
    if not chat.files:
        return None
    anything: Any = Any
    sent = {name: decoded(raw, anything, name) for name, raw in chat.parameters.items()}
    given = {name: value for name, value in sent.items() if value not in _NEUTRAL.get(name, ())}
    asked = validated(PaperChatRequest, given)
    if len(chat.files) > 1:
        raise InvalidRequest("Attach one paper only.", "messages", "too_many_files")
    part: FilePart = chat.files[0]
    if part.role != "user" or part.message != len(chat.messages or ()) - 1:
        raise InvalidRequest(
            "Attach the paper to the last message, with the role 'user'. Questions about a review "
            "are not supported.",
            param="messages",
        )
    if asked.stream and asked.samples > 1:
        raise InvalidRequest(
            "A chat with several samples can't be streamed, as the answer is chosen at the end. "
            "/v1/reviews streams all samples.",
            param="samples",
        )
    if asked.max_tokens is None:
        asked = asked.model_copy(update={"max_tokens": asked.max_completion_tokens})
    return asked, _file(part.file, limits)


def _file(raw: Raw | UnsetType, limits: BodyLimits) -> File:
    part = _File() if isinstance(raw, UnsetType) else decoded(raw, _File, "file_data")
    if part.file_data is None:
        raise InvalidRequest(
            "A file part needs file.file_data, a data URL; file ids are not supported.",
            param="file_data",
            code="missing_field",
        )
    url = _DATA_URL.match(part.file_data)
    if not url or not url["base64"]:
        raise InvalidRequest(
            f"file_data is not a data URL: it must begin with 'data:{_PDF};base64,'.",
            param="file_data",
        )
    if url["type"].lower() != _PDF:
        raise InvalidRequest(
            f"The file has the type {url['type'][:80]!r}; only {_PDF} is supported.",
            param="file_data",
            code="unsupported_file_type",
        )
    data = _decoded_base64(part.file_data, url.end())
    limits.check_file(len(data))
    return File(data, part.filename or "")


def _decoded_base64(text: str, start: int) -> bytes:
    """Decode the text after ``start`` piece by piece: fifty megabytes take a second."""
    if any(space in text for space in "\n\r \t"):
        # MIME breaks base64 into lines.
        text, start = "".join(text[start:].split()), 0
    pieces = []
    try:
        for at in range(start, len(text), _PIECE):
            pieces.append(base64.b64decode(text[at : at + _PIECE], validate=True))
            if at + _PIECE < len(text) and len(pieces[-1]) < _PIECE * 3 // 4:
                raise binascii.Error("Excess data after padding")
    except ValueError as error:  # includes binascii.Error
        raise InvalidRequest(
            f"file_data is not valid base64: {error}.", param="file_data", code="invalid_base64"
        ) from error
    return b"".join(pieces)
