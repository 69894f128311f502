"""Refuses unknown query parameters, which FastAPI would silently ignore."""

from __future__ import annotations

from fastapi import Request

from app.errors import InvalidRequest


async def only_known_parameters(request: Request) -> None:
    """A dependency of all routers under ``/v1``. Parameters in the OpenAPI document are known.

    Raises:
        InvalidRequest: the query has an unknown parameter.
    """
    if not request.query_params:
        return
    path = request.app.openapi()["paths"][request.scope["route"].path]
    parameters = path[request.method.lower()].get("parameters", ())
    known = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
    for name in request.query_params:
        if name not in known:
            there_are = f"there are: {', '.join(sorted(known))}" if known else "there are none"
            raise InvalidRequest(
                f"There is no query parameter {name[:80]!r} here; {there_are}.",
                param=name[:80],
                code="unknown_parameter",
            )
