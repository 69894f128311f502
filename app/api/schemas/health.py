"""Bodies of the health routes."""

from __future__ import annotations

from typing import Literal

from app.api.schemas.base import Resource


class VersionInfo(Resource):
    version: str
    model: str | None
    """None while the model is loading."""
    engine: str | None


class Readiness(Resource):
    status: Literal["ok"] = "ok"
