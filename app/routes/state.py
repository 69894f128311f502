"""What the lifespan makes and the handlers use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.engine.supervisor import Supervisor
from app.metrics import Metrics
from app.paper.reader import PaperReader
from app.review.service import ReviewService


@dataclass(frozen=True, slots=True)
class State:
    supervisor: Supervisor
    reader: PaperReader
    reviews: ReviewService
    metrics: Metrics


def _state(request: Request) -> State:
    state: State = request.app.state.reviewer
    return state


StateDep = Annotated[State, Depends(_state)]
