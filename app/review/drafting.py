"""The model's texts: samples of a review, drawn side by side, and the verdict of them all."""

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
from app.review.constraint import is_kept
from app.review.parse import ParsedReview, parse_review
from app.review.plan import Plan
from app.review.verdict import (
    Reading,
    Verdict,
    nearest_the_mean,
    read_verdict,
    up_to_the_verdict,
)

log = logging.getLogger(__name__)

CUT: tuple[FinishReason, ...] = ("length", "error")
"""Why a text ends where it is broken off."""
COMES_BACK = (EngineUnavailable, EngineOverloaded, EngineDied)
"""After these the whole review is tried again, and may be had as it was asked for."""


@dataclass(slots=True)
class Draft:
    """One sample's text so far.

    ``freed_at`` is where the constraint that it was asked for under ended before the text did.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    freed_at: int | None = None

    @property
    def is_cut(self) -> bool:
        """Whether it was broken off where it ends."""
        return self.finish_reason in CUT


@dataclass(slots=True)
class Drafts:
    """All samples, and what they took. Empty where only the verdict is asked for."""

    samples: list[Draft] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    queue_s: float = 0.0
    generate_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Judged:
    """The sample to show, as it is read, and the verdict of all.

    ``constrained`` tells whether every sample keeps to the format that was asked for to its end;
    None where none was.
    """

    draft: Draft
    parsed: ParsedReview
    verdict: Verdict
    constrained: bool | None


async def write(
    engine: Engine, plan: Plan, messages: Sequence[Message], drafts: Drafts, request_id: str
) -> AsyncGenerator[Delta, None]:
    """Passes the deltas on, and keeps in ``drafts`` what they add up to.

    What the engine can't hold to its format is finished without: :func:`_freely`.
    """
    if plan.generation is None:
        return
    drafts.samples = [Draft() for _ in range(plan.generation.n)]
    request = replace(plan.generation, messages=messages, request_id=request_id)
    sent = time.perf_counter()
    first: float | None = None
    async with aclosing(_written(engine, plan, request, drafts)) as deltas:
        async for delta in deltas:
            first = first or time.perf_counter()
            yield delta
    ended = time.perf_counter()
    drafts.queue_s = (first or ended) - sent
    drafts.generate_s = ended - (first or ended)


async def _written(
    engine: Engine, plan: Plan, request: Generation, drafts: Drafts
) -> AsyncGenerator[Delta, None]:
    try:
        async with aclosing(_drawn(engine, request, drafts)) as deltas:
            async for delta in deltas:
                yield delta
        return
    except ConstraintFailed as failure:
        written = [draft.text for draft in drafts.samples]
        if not any(written) and plan.constraint is None:
            # The format is the client's own, and can't be had.
            raise failure.refusal from failure
        log.warning("a review is written without its constraint: %s", failure.code)
        if not drafts.usage.completion:
            drafts.usage = Usage(completion=sum(engine.tokenizer.count_each(written)))
    for draft in drafts.samples:
        if draft.finish_reason is None:
            draft.freed_at = len(draft.text)
    async with aclosing(_freely(engine, request, drafts)) as deltas:
        async for delta in deltas:
            yield delta


async def _freely(
    engine: Engine, request: Generation, drafts: Drafts
) -> AsyncGenerator[Delta, None]:
    """The rest of the samples that are not finished, without a constraint, one after the other.

    Where nothing is written yet, all from the start and side by side.
    """
    free = replace(request, structure=None, request_id=f"{request.request_id}-free")
    if not any(draft.text for draft in drafts.samples):
        async with aclosing(_drawn(engine, free, drafts)) as deltas:
            async for delta in deltas:
                yield delta
        return
    for index, draft in enumerate(drafts.samples):
        if draft.finish_reason is None:
            rest = replace(free, request_id=f"{free.request_id}-{index}", prefix=draft.text, n=1)
            async with aclosing(_continued(engine, rest, drafts, index)) as deltas:
                async for delta in deltas:
                    yield delta


async def _continued(
    engine: Engine, rest: Generation, drafts: Drafts, index: int
) -> AsyncGenerator[Delta, None]:
    """The rest of one sample, as far as its tokens go."""
    left = rest.max_tokens - len(engine.tokenizer.encode(rest.prefix))
    ending = Delta("", "length", index=index)
    if left > 0:
        request = replace(rest, max_tokens=left)
        try:
            async with aclosing(_drawn(engine, request, drafts, index)) as deltas:
                async for delta in deltas:
                    yield delta
            return
        except COMES_BACK:
            raise
        except (EngineError, InvalidRequest) as error:
            if not drafts.samples[index].text:
                raise
            log.warning("a review could not be continued: %s", error.code)
            ending = Delta("", "error", index=index)
    drafts.samples[index].finish_reason = ending.finish_reason
    yield ending


async def _drawn(
    engine: Engine, request: Generation, drafts: Drafts, first: int = 0
) -> AsyncGenerator[Delta, None]:
    """A request's deltas, as they are kept. Its completions are the samples from ``first`` on."""
    before = drafts.usage
    async with aclosing(engine.generate(request)) as deltas:
        async for piece in deltas:
            delta = replace(piece, index=first + piece.index)
            draft = drafts.samples[delta.index]
            draft.text += delta.text
            draft.finish_reason = delta.finish_reason or draft.finish_reason
            if delta.usage:
                drafts.usage = before + delta.usage
            yield delta


async def judge(
    engine: Engine, plan: Plan, messages: Sequence[Message], drafts: Drafts, request_id: str
) -> Judged:
    """Read the verdict of every sample, and choose the one to show."""
    samples = drafts.samples or [Draft()]
    parsed = [_parsed(draft, plan) for draft in samples]
    began = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = [
                tasks.create_task(
                    _reading(engine, plan, messages, draft, read, f"{request_id}-verdict-{number}")
                )
                for number, (draft, read) in enumerate(zip(samples, parsed, strict=True))
            ]
    except ExceptionGroup as failed:
        # An error of the engine's is told as one, and not as a group of them.
        raise failed.exceptions[0] from failed
    readings = [task.result() for task in reading]
    if not drafts.samples:
        drafts.usage, drafts.queue_s = readings[0].usage, time.perf_counter() - began
    shown = nearest_the_mean(readings)
    verdict = plan.confidence.verdict(parsed[shown].decision, readings, shown)
    return Judged(samples[shown], parsed[shown], verdict, _is_constrained(plan, samples))


async def _reading(
    engine: Engine,
    plan: Plan,
    messages: Sequence[Message],
    draft: Draft,
    parsed: ParsedReview,
    request_id: str,
) -> Reading:
    """A sample's reading; without a probability where the engine refuses to read."""
    prefix = up_to_the_verdict(draft.text, parsed.verdict_at)
    try:
        return await read_verdict(engine, messages, prefix, request_id, plan.cache_salt)
    except COMES_BACK:
        raise
    except (EngineError, InvalidRequest) as error:
        if not draft.text:
            raise
        # A written review is not thrown away for it.
        log.warning("a review's verdict goes without a probability: %s", error.code)
        return Reading(None, {}, Usage())


def _parsed(draft: Draft, plan: Plan) -> ParsedReview:
    return parse_review(
        draft.text,
        plan.template.sections,
        plan.constraint,
        freed_at=draft.freed_at,
        cut=draft.is_cut,
    )


def _is_constrained(plan: Plan, samples: Sequence[Draft]) -> bool | None:
    if plan.generation is None or plan.generation.structure is None:
        return None
    if any(draft.freed_at is not None for draft in samples):
        return False
    if plan.constraint is None:
        return all(_is_json(draft.text) for draft in samples)
    return all(is_kept(draft.text, plan.template.sections) for draft in samples)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


async def verdict_of(
    engine: Engine, plan: Plan, messages: Sequence[Message], request_id: str
) -> Verdict:
    """The verdict that a prompt gets by the plan, its reviews thrown away."""
    drafts = Drafts()
    async with aclosing(write(engine, plan, messages, drafts, request_id)) as deltas:
        async for _ in deltas:
            pass
    return (await judge(engine, plan, messages, drafts, request_id)).verdict
