"""Every error, in OpenAI's form."""

from __future__ import annotations

from app.api.schemas.base import Resource


class ErrorDetail(Resource):
    message: str
    type: str
    param: str | None
    code: str | int | None
    request_id: str | None = None
    """As in the header `X-Request-Id` and in the log; null in errors of vLLM's own chat."""


class ErrorEnvelope(Resource):
    """Every error, in OpenAI's form."""

    error: ErrorDetail
