"""The body of ``POST /v1/reviews``: a PDF in a multipart form, or a paper as JSON."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from app.errors import InvalidRequest, UnsupportedMediaType
from app.paper.model import Paper
from app.paper.text import paper_from_text
from app.schemas import ReviewParameters, ReviewTextRequest

Body = TypeVar("Body", bound=BaseModel)

_CODES = {"missing": "missing_field", "extra_forbidden": "unknown_field"}
_MOST_FIELDS = 32

REQUEST_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The PDF."},
                        **ReviewParameters.model_json_schema()["properties"],
                    },
                }
            },
            "application/json": {"schema": ReviewTextRequest.model_json_schema()},
        },
    }
}
"""For the OpenAPI document, which can't see that the handler reads two kinds of body."""


async def read_submission(request: Request) -> tuple[bytes | Paper, ReviewParameters]:
    """The PDF's bytes or the paper, and how to review it.

    Raises:
        InvalidRequest: with a code that says what is wrong.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return await _read_form(request)
    if kind == "application/json":
        return await _read_json(request)
    raise UnsupportedMediaType(
        "Send a PDF as multipart/form-data with a part named 'file', or a paper as "
        "application/json."
    )


async def _read_form(request: Request) -> tuple[bytes, ReviewParameters]:
    async with request.form(max_files=1, max_fields=_MOST_FIELDS) as form:
        file = form.get("file")
        if file is None:
            raise InvalidRequest(
                "The form has no part named 'file'.", param="file", code="missing_field"
            )
        if not isinstance(file, UploadFile):
            raise InvalidRequest("The part 'file' is no file: give it a filename.", param="file")
        fields = {name: value for name, value in form.multi_items() if name != "file"}
        return await file.read(), _validated(ReviewParameters, fields)


async def _read_json(request: Request) -> tuple[Paper, ReviewParameters]:
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON.", code="invalid_json") from error
    asked = _validated(ReviewTextRequest, body)
    return paper_from_text(asked.title, asked.abstract, asked.body), asked


def _validated(model: type[Body], values: Any) -> Body:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = ".".join(str(part) for part in first["loc"]) or None
        message = f"{param}: {first['msg']}" if param else first["msg"]
        raise InvalidRequest(message, param, _CODES.get(first["type"], "invalid_value")) from error
