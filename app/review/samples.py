"""Generates the samples of a review side by side, and reads the verdict of each."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from app.engine.base import Delta, Engine, FinishReason, Generation, Message, Usage
from app.errors import (
    ConstraintFailed,
    EngineDied,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    InvalidRequest,
)
from app.review.parse import ParsedReview, parse_review
from app.review.plan import Plan
from app.review.structure import follows_format
from app.review.verdict import (
    Verdict,
    VerdictReading,
    nearest_the_mean,
    read_verdict,
    up_to_the_verdict,
)

log = logging.getLogger(__name__)

INCOMPLETE: tuple[FinishReason, ...] = ("length", "error")
"""Finish reasons of a text that ends before the model ended it."""
RETRIED_WHOLE = (EngineUnavailable, EngineOverloaded, EngineDied)
"""After these errors the whole review is tried again, so nothing is salvaged here."""


@dataclass(slots=True)
class Sample:
    """One sample's text so far.

    ``constraint_ended_at`` is the offset from which the text was generated without the constraint
    that was asked for; None if the constraint applied to all of it, or none was asked for.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    constraint_ended_at: int | None = None

    @property
    def is_cut(self) -> bool:
        """Whether the text ends before the model ended it."""
        return self.finish_reason in INCOMPLETE


@dataclass(slots=True)
class Samples:
    """All samples of a review, with their cost. ``items`` is empty for a verdict alone."""

    items: list[Sample] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    queue_s: float = 0.0
    generate_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ChosenSample:
    """The sample that the review shows, parsed, and the verdict over all samples.

    ``constrained`` is whether every sample follows the requested format to its end; None if no
    format was requested.
    """

    sample: Sample
    parsed: ParsedReview
    verdict: Verdict
    constrained: bool | None


async def generate(
    engine: Engine, plan: Plan, messages: Sequence[Message], samples: Samples, request_id: str
) -> AsyncGenerator[Delta, None]:
    """Generate the samples: yields the deltas, and collects them in ``samples``.

    If the engine fails to apply the constraint, the samples are finished without it
    (:func:`_unconstrained`).
    """
    if plan.generation is None:
        return
    samples.items = [Sample() for _ in range(plan.generation.n)]
    request = replace(plan.generation, messages=messages, request_id=request_id)
    sent = time.perf_counter()
    first: float | None = None
    async with aclosing(_with_fallback(engine, plan, request, samples)) as deltas:
        async for delta in deltas:
            first = first or time.perf_counter()
            yield delta
    ended = time.perf_counter()
    samples.queue_s = (first or ended) - sent
    samples.generate_s = ended - (first or ended)


async def _with_fallback(
    engine: Engine, plan: Plan, request: Generation, samples: Samples
) -> AsyncGenerator[Delta, None]:
    try:
        async with aclosing(_collected(engine, request, samples)) as deltas:
            async for delta in deltas:
                yield delta
        return
    except ConstraintFailed as failure:
        written = [sample.text for sample in samples.items]
        if not any(written) and plan.constraint is None:
            # The format is the client's own (response_format): without it the answer is useless.
            raise failure.refusal from failure
        log.warning("a review is written without its constraint: %s", failure.code)
        if not samples.usage.completion:
            samples.usage = Usage(completion=sum(engine.tokenizer.count_each(written)))
    for sample in samples.items:
        if sample.finish_reason is None:
            sample.constraint_ended_at = len(sample.text)
    async with aclosing(_unconstrained(engine, request, samples)) as deltas:
        async for delta in deltas:
            yield delta


async def _unconstrained(
    engine: Engine, request: Generation, samples: Samples
) -> AsyncGenerator[Delta, None]:
    """Finish the unfinished samples without a constraint, one after the other.

    If no sample has text yet, generate them all from the start, side by side.
    """
    free = replace(request, structure=None, request_id=f"{request.request_id}-free")
    if not any(sample.text for sample in samples.items):
        async with aclosing(_collected(engine, free, samples)) as deltas:
            async for delta in deltas:
                yield delta
        return
    for index, sample in enumerate(samples.items):
        if sample.finish_reason is None:
            rest = replace(free, request_id=f"{free.request_id}-{index}", prefix=sample.text, n=1)
            async with aclosing(_continued(engine, rest, samples, index)) as deltas:
                async for delta in deltas:
                    yield delta


async def _continued(
    engine: Engine, rest: Generation, samples: Samples, index: int
) -> AsyncGenerator[Delta, None]:
    """Continue one sample within the tokens that it has left."""
    left = rest.max_tokens - len(engine.tokenizer.encode(rest.prefix))
    last = Delta("", "length", index=index)
    if left > 0:
        request = replace(rest, max_tokens=left)
        try:
            async with aclosing(_collected(engine, request, samples, index)) as deltas:
                async for delta in deltas:
                    yield delta
            return
        except RETRIED_WHOLE:
            raise
        except (EngineError, InvalidRequest) as error:
            if not samples.items[index].text:
                raise
            log.warning("a review could not be continued: %s", error.code)
            last = Delta("", "error", index=index)
    samples.items[index].finish_reason = last.finish_reason
    yield last


async def _collected(
    engine: Engine, request: Generation, samples: Samples, first: int = 0
) -> AsyncGenerator[Delta, None]:
    """A request's deltas, also collected in ``samples``: completion 0 is the sample ``first``."""
    before = samples.usage
    async with aclosing(engine.generate(request)) as deltas:
        async for piece in deltas:
            delta = replace(piece, index=first + piece.index)
            sample = samples.items[delta.index]
            sample.text += delta.text
            sample.finish_reason = delta.finish_reason or sample.finish_reason
            if delta.usage:
                samples.usage = before + delta.usage
            yield delta


async def read_verdicts(
    engine: Engine, plan: Plan, messages: Sequence[Message], samples: Samples, request_id: str
) -> ChosenSample:
    """Read the verdict of every sample, and choose the sample to show."""
    items = samples.items or [Sample()]
    parsed = [_parsed(sample, plan) for sample in items]
    began = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = [
                tasks.create_task(
                    _reading(engine, plan, messages, sample, read, f"{request_id}-verdict-{number}")
                )
                for number, (sample, read) in enumerate(zip(items, parsed, strict=True))
            ]
    except ExceptionGroup as failed:
        # Callers handle the engine's errors, not groups of them.
        raise failed.exceptions[0] from failed
    readings = [task.result() for task in reading]
    if not samples.items:
        samples.usage, samples.queue_s = readings[0].usage, time.perf_counter() - began
    shown = nearest_the_mean(readings)
    verdict = plan.confidence.verdict(parsed[shown].decision, readings, shown)
    return ChosenSample(items[shown], parsed[shown], verdict, _is_constrained(plan, items))


async def _reading(
    engine: Engine,
    plan: Plan,
    messages: Sequence[Message],
    sample: Sample,
    parsed: ParsedReview,
    request_id: str,
) -> VerdictReading:
    """One sample's verdict; without a probability if the engine refuses the request for it."""
    prefix = up_to_the_verdict(sample.text, parsed.verdict_at)
    try:
        return await read_verdict(engine, messages, prefix, request_id, plan.cache_salt)
    except RETRIED_WHOLE:
        raise
    except (EngineError, InvalidRequest) as error:
        if not sample.text:
            raise
        # The review is written already: it is kept, without a probability.
        log.warning("a review's verdict goes without a probability: %s", error.code)
        return VerdictReading(None, {}, Usage())


def _parsed(sample: Sample, plan: Plan) -> ParsedReview:
    return parse_review(
        sample.text,
        plan.template.sections,
        plan.constraint,
        constraint_ended_at=sample.constraint_ended_at,
        cut=sample.is_cut,
    )


def _is_constrained(plan: Plan, samples: Sequence[Sample]) -> bool | None:
    if plan.generation is None or plan.generation.structure is None:
        return None
    if any(sample.constraint_ended_at is not None for sample in samples):
        return False
    if plan.constraint is None:
        return all(_is_json(sample.text) for sample in samples)
    return all(follows_format(sample.text, plan.template.sections) for sample in samples)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


async def verdict_of(
    engine: Engine, plan: Plan, messages: Sequence[Message], request_id: str
) -> Verdict:
    """The verdict for another prompt by the same plan; the samples' texts are discarded."""
    samples = Samples()
    async with aclosing(generate(engine, plan, messages, samples, request_id)) as deltas:
        async for _ in deltas:
            pass
    return (await read_verdicts(engine, plan, messages, samples, request_id)).verdict
