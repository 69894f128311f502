"""What the OpenAPI document says of errors."""

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
    """Each of them with the envelope that all errors come in."""
    return {
        status: {"model": ErrorEnvelope, "headers": _HEADERS.get(status, {})} for status in statuses
    }


OF_ALL = errors(400, 401, 429, 500, 503)
"""What anything under ``/v1`` may answer."""
EVENTS: dict[str, Any] = {"text/event-stream": {}}
