"""A review by an engine double under the real application."""

from __future__ import annotations

import math
from typing import Any

from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import ScriptedEngine

TEXT = {"title": "T", "abstract": "A", "body": "# Introduction\n\nWe count."}


ACCEPT = "I recommend this paper for ACCEPTANCE."


def review(
    serve: Serve, engine: ScriptedEngine, settings: Settings | None = None, **more: Any
) -> dict[str, Any]:
    response = serve(engine, settings or Settings()).post("/v1/reviews", json={**TEXT, **more})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def odds(probability: float) -> tuple[float, float]:
    """Log-probabilities of the labels that make this probability."""
    return math.log(probability / 2), math.log((1 - probability) / 2)
