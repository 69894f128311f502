"""The application's state: created at startup, used by the handlers."""

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
from app.jobs.papers import StoredPapers
from app.jobs.points import PointsEditor
from app.observability.metrics import Metrics
from app.observability.tracing import Traces
from app.paper.reader import PaperReader
from app.review.plan import ReviewRules
from app.review.service import Failed
from app.store.storage import Storage
from app.tasks import EssentialTasks


@dataclass(frozen=True, slots=True)
class State:
    supervisor: Supervisor
    reader: PaperReader
    storage: Storage
    manager: ReviewManager
    papers: StoredPapers
    points: PointsEditor
    rules: ReviewRules
    metrics: Metrics
    traces: Traces
    keyring: Keyring
    limits: BodyLimits
    stopping: asyncio.Event
    """Set once the service has been asked to stop."""
    tasks: tuple[EssentialTasks, ...]

    def check_alive(self) -> None:
        """Check the background tasks.

        Raises:
            TaskEnded: one has ended; the process must be restarted.
        """
        for tasks in self.tasks:
            tasks.check()

    def check_ready(self) -> None:
        """Check that the service can make reviews.

        Raises:
            ShuttingDown: the service is stopping.
            StoreUnavailable: the database or the data folder can't be reached.
            EngineUnavailable: no model is running; ModelNotStarted gives the reason.
        """
        if self.stopping.is_set():
            raise ShuttingDown("The service is stopping.")
        self.storage.check()
        self.supervisor.check()

    async def counted(
        self, events: AsyncGenerator[StoredEvent, None]
    ) -> AsyncGenerator[StoredEvent, None]:
        """The events; errors among them are counted, as the status is sent before they occur."""
        async with aclosing(events) as all_events:
            async for event in all_events:
                if event.error:
                    self.metrics.failed(event.error)
                yield event

    async def counted_events(
        self, events: AsyncGenerator[JobEvent, None]
    ) -> AsyncGenerator[JobEvent, None]:
        """Like :meth:`counted`, for events that are not encoded."""
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
    """The name of the request's API key; empty if the service has no keys."""
    tenant: str = request.state.tenant
    return tenant


TenantDep = Annotated[str, Depends(_tenant)]
