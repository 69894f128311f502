"""Errors in OpenAI's format."""

from __future__ import annotations

from app.api.schemas.base import Resource


class ErrorDetail(Resource):
    message: str
    type: str
    param: str | None
    code: str | int | None
    request_id: str | None = None
    """The same as in the header `X-Request-Id` and in the log; null in errors of vLLM's chat."""


class ErrorEnvelope(Resource):
    """An error in OpenAI's format."""

    error: ErrorDetail
