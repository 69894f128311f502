"""The model's texts: samples of a review, drawn side by side, and the verdict of them all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from app.engine.base import Delta, Engine, Message, Usage
from app.review.parse import ParsedReview, parse_review
from app.review.plan import Plan
from app.review.verdict import nearest_the_mean, read_verdict, up_to_the_verdict
from app.schemas.review import Verdict


@dataclass(slots=True)
class Draft:
    """One sample's text so far."""

    text: str = ""
    finish_reason: str = "stop"


@dataclass(slots=True)
class Drafts:
    """All samples, and what they took. Empty where only the verdict is asked for."""

    samples: list[Draft] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    queue_s: float = 0.0
    generate_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Judged:
    """The sample to show, as it is read, and the verdict of all."""

    draft: Draft
    parsed: ParsedReview
    verdict: Verdict


async def write(
    engine: Engine, plan: Plan, messages: Sequence[Message], drafts: Drafts, request_id: str
) -> AsyncGenerator[Delta, None]:
    """Passes the deltas on, and keeps in ``drafts`` what they add up to."""
    if plan.generation is None:
        return
    drafts.samples = [Draft() for _ in range(plan.generation.n)]
    request = replace(plan.generation, messages=messages, request_id=request_id)
    sent = time.perf_counter()
    first: float | None = None
    async with aclosing(engine.generate(request)) as deltas:
        async for delta in deltas:
            first = first or time.perf_counter()
            draft = drafts.samples[delta.index]
            draft.text += delta.text
            draft.finish_reason = delta.finish_reason or draft.finish_reason
            drafts.usage = delta.usage or drafts.usage
            yield delta
    ended = time.perf_counter()
    drafts.queue_s = (first or ended) - sent
    drafts.generate_s = ended - (first or ended)


async def judge(
    engine: Engine, plan: Plan, messages: Sequence[Message], drafts: Drafts, request_id: str
) -> Judged:
    """Read the verdict of every sample, and choose the one to show."""
    samples = drafts.samples or [Draft()]
    parsed = [parse_review(draft.text, plan.template.sections, held=plan.held) for draft in samples]
    began = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = [
                tasks.create_task(
                    read_verdict(
                        engine,
                        messages,
                        up_to_the_verdict(draft.text, read.verdict_at),
                        f"{request_id}-verdict-{number}",
                        plan.cache_salt,
                    )
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
    return Judged(samples[shown], parsed[shown], verdict)


async def verdict_of(
    engine: Engine, plan: Plan, messages: Sequence[Message], request_id: str
) -> Verdict:
    """The verdict that a prompt gets by the plan, its reviews thrown away."""
    drafts = Drafts()
    async with aclosing(write(engine, plan, messages, drafts, request_id)) as deltas:
        async for _ in deltas:
            pass
    return (await judge(engine, plan, messages, drafts, request_id)).verdict
