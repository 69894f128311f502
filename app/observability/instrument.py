"""Records metrics and trace spans of a review from its events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.errors import ReviewerError
from app.observability.metrics import HIDDEN_KINDS, Metrics, code_of
from app.observability.tracing import NO_TRACES, Traces
from app.review.report import ReviewReport
from app.review.service import (
    Accepted,
    Completed,
    Decided,
    Event,
    Extracted,
    Prompted,
    ReadingVerdict,
)

_STAGE_AFTER: dict[type[Event], str | None] = {
    Accepted: "extraction",
    Extracted: "packing",
    Prompted: "generation",
    ReadingVerdict: "verdict",
    Decided: None,
}
"""The stage that begins with each event; None if no stage does."""


async def instrumented(
    events: AsyncGenerator[Event, None], metrics: Metrics, traces: Traces = NO_TRACES
) -> AsyncGenerator[Event, None]:
    """The events, unchanged. A review that ends without ``Completed`` counts as failed or
    cancelled.
    """
    stages = _Stages(metrics, traces)
    status = "cancelled"
    try:
        async with aclosing(events):
            async for event in events:
                if type(event) in _STAGE_AFTER:
                    stages.enter(_STAGE_AFTER[type(event)])
                if isinstance(event, Completed):
                    status = "completed"
                    _count(event.report, metrics)
                yield event
    except (GeneratorExit, asyncio.CancelledError):
        raise
    except BaseException as error:
        status = "failed"
        stages.failed(error)
        raise
    finally:
        stages.enter(None)
        if status != "completed":
            metrics.reviews.labels(status=status, decision="none").inc()
        stages.end(status)


class _Stages:
    """The current stage of one review, and when it began."""

    def __init__(self, metrics: Metrics, traces: Traces) -> None:
        self._metrics = metrics
        self._trace = traces.review()
        self._stage: str | None = None
        self._since = 0
        # Spans need wall-clock times; durations need a monotonic clock.
        self._epoch = time.time_ns() - time.perf_counter_ns()

    def enter(self, stage: str | None) -> None:
        now = self._epoch + time.perf_counter_ns()
        if self._stage is not None:
            self._metrics.stage.labels(stage=self._stage).dec()
            self._trace.stage(self._stage, self._since, now)
            if self._stage == "extraction" and stage == "packing":
                self._metrics.extraction.observe((now - self._since) / 1e9)
        if stage is not None:
            self._metrics.stage.labels(stage=stage).inc()
        self._stage, self._since = stage, now

    def failed(self, error: BaseException) -> None:
        if self._stage == "extraction":
            code = code_of(error) if isinstance(error, ReviewerError) else ReviewerError.code
            self._metrics.extraction_failures.labels(code=code).inc()

    def end(self, status: str) -> None:
        self._trace.end(status)


def _count(report: ReviewReport, metrics: Metrics) -> None:
    decision = report.verdict.decision or "none"
    metrics.reviews.labels(status="completed", decision=decision).inc()
    if report.verdict.probability is not None:
        metrics.probability.observe(report.verdict.probability)
    if report.prompt.truncated:
        metrics.truncated.inc()
    if report.chosen.constrained is False:
        metrics.unconstrained.inc()
    for found in report.paper.integrity.hidden_text:
        kind = found.kind if found.kind in HIDDEN_KINDS else "other"
        metrics.hidden_text.labels(kind=kind).inc()
    metrics.tokens.labels(kind="prompt").inc(report.usage.prompt)
    metrics.tokens.labels(kind="completion").inc(report.usage.completion)
    metrics.tokens.labels(kind="cached").inc(report.usage.cached)
    metrics.queue_wait.observe(report.times.queue_s)
    metrics.generation.observe(report.times.generate_s)
