"""What the lifespan makes and the handlers use."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.engine.supervisor import Supervisor
from app.jobs.desk import Desk
from app.jobs.telling import Told
from app.jobs.workers import Workers
from app.metrics import Metrics
from app.paper.reader import PaperReader
from app.review.service import Event, Failed
from app.store.storage import Storage


@dataclass(frozen=True, slots=True)
class State:
    supervisor: Supervisor
    reader: PaperReader
    storage: Storage
    workers: Workers
    desk: Desk
    metrics: Metrics

    async def counted(self, told: AsyncGenerator[Told, None]) -> AsyncGenerator[Told, None]:
        """For an answer whose status is out before its work is done: an error is an event."""
        async with aclosing(told) as all_told:
            async for one in all_told:
                if one.code:
                    self.metrics.errors.labels(code=one.code).inc()
                yield one

    async def counted_events(
        self, events: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[Event, None]:
        """The same, for events as they are."""
        async with aclosing(events) as all_events:
            async for event in all_events:
                if isinstance(event, Failed):
                    self.metrics.errors.labels(code=event.error.code).inc()
                yield event


def _state(request: Request) -> State:
    state: State = request.app.state.reviewer
    return state


async def _tenant() -> str:
    """Whose request this is; empty where there are no keys."""
    return ""


StateDep = Annotated[State, Depends(_state)]
TenantDep = Annotated[str, Depends(_tenant)]
