"""Reads the bodies of ``POST /v1/reviews`` and ``/v1/papers``: a form with a file, or JSON."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from app.api.routes.json_body import scalars_of
from app.api.schemas.requests import (
    PaperParameters,
    PaperUrlRequest,
    ReviewParameters,
    ReviewTextRequest,
    ReviewUrlRequest,
)
from app.errors import InvalidRequest, StorageFull, UnsupportedMediaType, is_full_disk
from app.paper.sources import File, Link, Source
from app.paper.text import paper_from_text

Body = TypeVar("Body", bound=BaseModel)

_CODES = {"missing": "missing_field", "extra_forbidden": "unknown_field"}
_MOST_FIELDS = 32
_LONGEST_FIELD = 64 * 1024
"""Most bytes of a form field; fields are parameters, not papers."""


def _request_body(form: type[BaseModel], *bodies: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI description of the body, which FastAPI can't derive from the handler."""
    file = {"type": "string", "format": "binary", "description": "PDF, LaTeX, Markdown or text."}
    fields = {
        "type": "object",
        "required": ["file"],
        "properties": {"file": file, **form.model_json_schema()["properties"]},
    }
    schemas = [body.model_json_schema() for body in bodies]
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": fields},
                "application/json": {"schema": {"anyOf": schemas}},
            },
        }
    }


def json_request_body(body: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI description of a JSON body that the handler reads itself."""
    schema = _inlined(body.model_json_schema())
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its definitions in place, as OpenAPI has no room for them here."""
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, list):
            return [resolved(item) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return resolved(definitions[part["$ref"].rpartition("/")[2]])
        return {name: resolved(value) for name, value in part.items()}

    inlined: dict[str, Any] = resolved(schema)
    return inlined


PAPER_BODY = _request_body(PaperParameters, PaperUrlRequest)
REVIEW_BODY = _request_body(ReviewParameters, ReviewTextRequest, ReviewUrlRequest)


async def read_paper_submission(request: Request) -> tuple[File | Link, PaperParameters]:
    """The paper's source, and how to read it.

    Raises:
        InvalidRequest: the body is invalid.
    """
    if _kind(request) == "multipart/form-data":
        file, fields = await _received_form(request)
        return file, validated(PaperParameters, fields)
    asked = validated(PaperUrlRequest, await _read_json(request, PaperUrlRequest))
    return Link(asked.url), asked


async def read_review_submission(request: Request) -> tuple[Source, ReviewParameters]:
    """The paper's source, and how to review it.

    Raises:
        InvalidRequest: the body is invalid.
    """
    if _kind(request) == "multipart/form-data":
        file, fields = await _received_form(request)
        return file, validated(ReviewParameters, fields)
    body = await _read_json(request, ReviewUrlRequest, ReviewTextRequest)
    if "url" in body:
        linked = validated(ReviewUrlRequest, body)
        return Link(linked.url), linked
    asked = validated(ReviewTextRequest, body)
    return paper_from_text(asked.title, asked.abstract, asked.body), asked


def _kind(request: Request) -> str:
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise UnsupportedMediaType(f"Send the body without Content-Encoding, not as {encoding}.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/json"):
        return kind
    raise UnsupportedMediaType(
        "Send a file as multipart/form-data with a part named 'file', or application/json."
    )


async def _received_form(request: Request) -> tuple[File, Mapping[str, Any]]:
    try:
        return await _read_form(request)
    except HTTPException as error:
        if error.detail.startswith("Part exceeded"):
            raise InvalidRequest(
                f"A form field may have at most {_LONGEST_FIELD // 1024} KB; send the paper as a "
                "part with a filename."
            ) from error
        raise
    except OSError as error:
        # Larger files are stored on the disk while they are received.
        if is_full_disk(error):
            raise StorageFull("The disk is too full for this file.") from error
        raise


async def _read_form(request: Request) -> tuple[File, Mapping[str, Any]]:
    async with request.form(
        max_files=1, max_fields=_MOST_FIELDS, max_part_size=_LONGEST_FIELD
    ) as form:
        file = form.get("file")
        if file is None:
            raise InvalidRequest(
                "The form has no part named 'file'.", param="file", code="missing_field"
            )
        if not isinstance(file, UploadFile):
            raise InvalidRequest("The part 'file' needs a filename.", param="file")
        fields = [(name, value) for name, value in form.multi_items() if name != "file"]
        _check_no_repeats([name for name, _ in fields])
        return File(await file.read(), file.filename or ""), dict(fields)


def _check_no_repeats(names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise InvalidRequest(f"The form has {name} {count} times.", param=name)


async def _read_json(request: Request, *kinds: type[BaseModel]) -> dict[str, Any]:
    names = {name for kind in kinds for name in kind.model_fields}
    return await asyncio.to_thread(scalars_of, await request.body(), names)


def validated(model: type[Body], values: Any) -> Body:
    """Validate ``values`` by a pydantic model.

    Raises:
        InvalidRequest: names the first invalid parameter.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = ".".join(str(part) for part in first["loc"]) or None
        message = f"{param}: {first['msg']}" if param else first["msg"]
        raise InvalidRequest(message, param, _CODES.get(first["type"], "invalid_value")) from error
