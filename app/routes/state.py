"""What the lifespan makes and the handlers use."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from app.engine.supervisor import Supervisor
from app.metrics import Metrics
from app.paper.reader import PaperReader
from app.paper.sources import Source
from app.review.service import Completed, Event, Failed, ReviewService, with_failure
from app.schemas.requests import ReviewParameters


@dataclass(frozen=True, slots=True)
class State:
    supervisor: Supervisor
    reader: PaperReader
    reviews: ReviewService
    metrics: Metrics

    def start_review(
        self,
        source: Source,
        parameters: ReviewParameters,
        answer_format: dict[str, Any] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """:meth:`ReviewService.start`, and its reviews are counted."""
        return _counted(self.reviews.start(source, parameters, answer_format), self.metrics)

    async def streamed(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """For an answer whose status is out before its work is done: an error is an event."""
        async with aclosing(with_failure(events)) as all_events:
            async for event in all_events:
                if isinstance(event, Failed):
                    self.metrics.errors.labels(code=event.error.code).inc()
                yield event


async def _counted(
    events: AsyncGenerator[Event, None], metrics: Metrics
) -> AsyncGenerator[Event, None]:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Completed):
                review = event.review
                metrics.reviews.labels(decision=str(review.verdict.decision)).inc()
                if review.paper.sha256:
                    metrics.extraction.observe(review.timings.extract_s)
            yield event


def _state(request: Request) -> State:
    state: State = request.app.state.reviewer
    return state


StateDep = Annotated[State, Depends(_state)]
