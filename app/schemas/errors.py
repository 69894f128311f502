"""Every error, in OpenAI's form."""

from __future__ import annotations

from app.schemas.base import Resource


class ErrorDetail(Resource):
    message: str
    type: str
    param: str | None
    code: str | int | None


class ErrorEnvelope(Resource):
    """Every error, in OpenAI's form."""

    error: ErrorDetail
