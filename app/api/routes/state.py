"""What the lifespan makes and the handlers use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.api.auth import Keyring
from app.api.body_limits import BodyLimits
from app.engine.supervisor import Supervisor
from app.errors import ShuttingDown
from app.jobs.events import JobEvent, StoredEvent
from app.jobs.manager import ReviewManager
from app.observability.metrics import Metrics
from app.observability.tracing import Traces
from app.paper.reader import PaperReader
from app.review.service import Failed
from app.store.storage import Storage
from app.tasks import EssentialTasks


@dataclass(frozen=True, slots=True)
class State:
    supervisor: Supervisor
    reader: PaperReader
    storage: Storage
    manager: ReviewManager
    metrics: Metrics
    traces: Traces
    keyring: Keyring
    limits: BodyLimits
    stopping: asyncio.Event
    """Set once the service is to stop."""
    tasks: tuple[EssentialTasks, ...]

    def check_alive(self) -> None:
        """
        Raises:
            TaskEnded: something has ended that only a new process brings back.
        """
        for tasks in self.tasks:
            tasks.check()

    def check_ready(self) -> None:
        """
        Raises:
            ShuttingDown: the service is to stop.
            StoreUnavailable: the database can't be reached now.
            EngineUnavailable: no model is running now; ModelNotStarted says what kept it.
        """
        if self.stopping.is_set():
            raise ShuttingDown("The service is stopping.")
        self.storage.check()
        self.supervisor.check()

    async def counted(
        self, events: AsyncGenerator[StoredEvent, None]
    ) -> AsyncGenerator[StoredEvent, None]:
        """For an answer whose status is sent before its work is done: an error is an event."""
        async with aclosing(events) as all_events:
            async for event in all_events:
                if event.error:
                    self.metrics.failed(event.error)
                yield event

    async def counted_events(
        self, events: AsyncGenerator[JobEvent, None]
    ) -> AsyncGenerator[JobEvent, None]:
        """The same, for events as they are."""
        async with aclosing(events) as all_events:
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
