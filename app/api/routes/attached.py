"""The paper that is attached to a chat completion, and what is asked of it."""

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
"""What clients send without meaning anything by it: parameters, and values as if they were not."""
_PDF = "application/pdf"
_PIECE = 2**18
"""Characters of base64 that are decoded at a time: other threads get a turn between two."""


class _File(msgspec.Struct):
    """OpenAI's. There are no file ids here."""

    file_data: str | None = None
    filename: str | None = None


def paper_request(chat: ChatBody, limits: BodyLimits) -> tuple[PaperChatRequest, File] | None:
    """The request and its paper; None where there is none, and the engine is to answer.

    Raises:
        InvalidRequest: what is attached is no PDF, or the request can't be met with one.
    """
    if not chat.files:
        return None
    anything: Any = Any
    sent = {name: decoded(raw, anything, name) for name, raw in chat.parameters.items()}
    given = {name: value for name, value in sent.items() if value not in _NEUTRAL.get(name, ())}
    asked = validated(PaperChatRequest, given)
    if len(chat.files) > 1:
        raise InvalidRequest("Attach one paper, not two.", "messages", "too_many_files")
    part: FilePart = chat.files[0]
    if part.role != "user" or part.message != len(chat.messages or ()) - 1:
        raise InvalidRequest(
            "A paper belongs into the last message, and that is the user's: questions about a "
            "review are not answered.",
            param="messages",
        )
    if asked.stream and asked.samples > 1:
        raise InvalidRequest(
            "Which of several samples is the answer is known only in the end: it can't be "
            "streamed. /v1/reviews streams them side by side.",
            param="samples",
        )
    if asked.max_tokens is None:
        asked = asked.model_copy(update={"max_tokens": asked.max_completion_tokens})
    return asked, _file(part.file, limits)


def _file(raw: Raw | UnsetType, limits: BodyLimits) -> File:
    part = _File() if isinstance(raw, UnsetType) else decoded(raw, _File, "file_data")
    if part.file_data is None:
        raise InvalidRequest(
            "A file part needs file.file_data, a data URL; files are not kept here, so there are "
            "no file ids.",
            param="file_data",
            code="missing_field",
        )
    url = _DATA_URL.match(part.file_data)
    if not url or not url["base64"]:
        raise InvalidRequest(
            f"file_data is no data URL: it has to begin with 'data:{_PDF};base64,'.",
            param="file_data",
        )
    if url["type"].lower() != _PDF:
        raise InvalidRequest(
            f"The file is of the type {url['type'][:80]!r}; attach an {_PDF}.",
            param="file_data",
            code="unsupported_file_type",
        )
    data = _decoded_base64(part.file_data, url.end())
    limits.check_file(len(data))
    return File(data, part.filename or "")


def _decoded_base64(text: str, start: int) -> bytes:
    """What stands behind ``start``, a piece at a time: fifty megabytes take a second."""
    if any(space in text for space in "\n\r \t"):
        # MIME's lines are 76 characters long.
        text, start = "".join(text[start:].split()), 0
    pieces = []
    try:
        for at in range(start, len(text), _PIECE):
            pieces.append(base64.b64decode(text[at : at + _PIECE], validate=True))
            if at + _PIECE < len(text) and len(pieces[-1]) < _PIECE * 3 // 4:
                raise binascii.Error("Excess data after padding")
    except ValueError as error:  # of which binascii.Error is one
        raise InvalidRequest(
            f"file_data is not valid base64: {error}.", param="file_data", code="invalid_base64"
        ) from error
    return b"".join(pieces)
