"""Error responses for the OpenAPI document."""

from __future__ import annotations

from typing import Any

from app.api.schemas.errors import ErrorEnvelope

Responses = dict[int | str, dict[str, Any]]

_RETRY = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: _RETRY,
}


def errors(*statuses: int) -> Responses:
    """Responses with the error envelope for these statuses."""
    return {
        status: {"model": ErrorEnvelope, "headers": _HEADERS.get(status, {})} for status in statuses
    }


OF_ALL = errors(400, 401, 429, 500, 503)
"""Errors of all routes under ``/v1``."""
EVENTS: dict[str, Any] = {"text/event-stream": {}}
