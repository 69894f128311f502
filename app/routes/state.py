"""What the lifespan makes and the handlers use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from app.auth import Keyring
from app.engine.supervisor import Supervisor
from app.errors import ShuttingDown
from app.metrics import Metrics
from app.paper.reader import PaperReader
from app.paper.sources import Source
from app.review.service import Event, Failed, ReviewService, with_failure
from app.schemas.requests import ReviewParameters
from app.tracing import Traces
from app.watch import watched


@dataclass(frozen=True, slots=True)
class State:
    supervisor: Supervisor
    reader: PaperReader
    reviews: ReviewService
    metrics: Metrics
    traces: Traces
    keyring: Keyring
    stopping: asyncio.Event
    """Set once the service has been told to end."""

    def start_review(
        self,
        source: Source,
        parameters: ReviewParameters,
        tenant: str,
        answer_format: dict[str, Any] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """:meth:`ReviewService.start`, and its reviews are counted."""
        salt = self.keyring.cache_salt(tenant)
        events = self.reviews.start(source, parameters, answer_format, salt)
        return watched(events, self.metrics, self.traces)

    def check_ready(self) -> None:
        """
        Raises:
            ShuttingDown: the service has been told to end.
            EngineUnavailable: no model is running now.
        """
        if self.stopping.is_set():
            raise ShuttingDown("The service is stopping.")
        self.supervisor.engine()

    async def streamed(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """For an answer whose status is out before its work is done: an error is an event."""
        async with aclosing(with_failure(events)) as all_events:
            async for event in all_events:
                if isinstance(event, Failed):
                    self.metrics.failed(event.error)
                yield event


def _state(request: Request) -> State:
    state: State = request.app.state.reviewer
    return state


StateDep = Annotated[State, Depends(_state)]


def _tenant(request: Request) -> str:
    """Name of the request's API key; empty where the service has no keys."""
    tenant: str = request.state.tenant
    return tenant


TenantDep = Annotated[str, Depends(_tenant)]
