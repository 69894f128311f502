"""The use case: a paper in, a review with its verdict out, step by step as events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from app.api.schemas.requests import ReviewParameters
from app.engine.base import Engine
from app.engine.supervisor import Supervisor
from app.errors import PaperError, ReviewerError, unexpected
from app.paper.model import Paper
from app.paper.reader import PaperReader
from app.paper.sources import File, Link, Source
from app.review.constraint import Constraint
from app.review.drafting import Drafts, Judged, judge, verdict_of, write
from app.review.evidence import Support, find_supports
from app.review.injection import with_hidden_text
from app.review.packing import Prompt, pack
from app.review.plan import Plan, ReviewRules
from app.review.report import ReviewReport, StageTimes
from app.review.template import SectionSpec
from app.review.verdict import Verdict

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request can be met, and the work begins."""

    id: str
    created: int
    model: str
    sections: tuple[SectionSpec, ...]
    constraint: Constraint | None
    """See :class:`app.review.plan.Plan`."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the link led to."""

    file: File


@dataclass(frozen=True, slots=True)
class Extracted:
    """The paper has been read."""

    paper: Paper


@dataclass(frozen=True, slots=True)
class Prompted:
    """The prompt is on its way to the model."""

    paper: Paper
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Writing:
    """The next piece of a sample's text.

    ``constrained`` is false from where the engine could not hold it to its format any further, and
    ``cut`` true where the text is broken off.
    """

    sample: int
    text: str
    constrained: bool = True
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Judging:
    """Everything is written, and the verdict is being read."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdict is known."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Completed:
    """The review is finished."""

    report: ReviewReport


@dataclass(frozen=True, slots=True)
class Failed:
    """There will be no review; see :func:`with_failure`."""

    error: ReviewerError


Event = Accepted | Fetched | Extracted | Prompted | Writing | Judging | Decided | Completed | Failed


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that has been checked against the model that will answer it."""

    engine: Engine
    plan: Plan
    parameters: ReviewParameters


async def finished(events: AsyncGenerator[Event, None]) -> ReviewReport:
    """The review at the end of its events."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Completed):
                return event.report
            if isinstance(event, Failed):
                raise event.error
    raise AssertionError("events end with Completed or an error")


async def with_failure(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The events, and an error as the last of them; also one that nobody expected."""
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except ReviewerError as error:
        yield Failed(error)
    except Exception as error:  # noqa: BLE001  # where a handler of the app would come too late
        yield Failed(unexpected(error))


class ReviewService:
    """Reviews papers with whatever engine the supervisor has running."""

    def __init__(self, rules: ReviewRules, supervisor: Supervisor, reader: PaperReader) -> None:
        self._rules = rules
        self._supervisor = supervisor
        self._reader = reader

    def prepare(
        self,
        parameters: ReviewParameters,
        answer_format: dict[str, Any] | None = None,
        review_id: str | None = None,
        cache_salt: str | None = None,
    ) -> Prepared:
        """Check the request. Without ``review_id`` it is a new review, and gets one.

        ``cache_salt`` is that of :class:`app.engine.base.Generation`.

        Raises:
            InvalidRequest: the parameters don't suit the model.
            EngineUnavailable: no model is running now.
        """
        engine = self._supervisor.engine()
        plan = self._rules.plan(
            parameters, engine.model, engine.tokenizer, answer_format, cache_salt
        )
        return Prepared(engine, replace(plan, id=review_id or plan.id), parameters)

    def start(
        self,
        source: Source,
        parameters: ReviewParameters,
        answer_format: dict[str, Any] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """:meth:`prepare` and :meth:`events` in one."""
        return self.events(self.prepare(parameters, answer_format), source)

    async def events(
        self, prepared: Prepared, source: Source, created: float | None = None
    ) -> AsyncGenerator[Event, None]:
        """The review's events; closing them aborts the work. ``created`` is now unless given.

        Raises:
            InvalidRequest: the paper leaves no room for itself, or the link is refused.
            PaperError: the paper can't be read.
            EngineError: the model can't answer.
        """
        engine, plan, parameters = prepared.engine, prepared.plan, prepared.parameters
        created, started = int(created or time.time()), time.perf_counter()
        yield Accepted(plan.id, created, engine.model.name, plan.template.sections, plan.constraint)

        if isinstance(source, Link):
            source = await self._reader.fetch(source)
            yield Fetched(source)
        paper = await self._reader.read(source, blind=parameters.blind)
        extract_s = time.perf_counter() - started
        yield Extracted(paper)

        prompt = await _packed(paper, engine, plan)
        yield Prompted(paper, prompt)

        drafts = Drafts()
        async with aclosing(write(engine, plan, prompt.messages, drafts, plan.id)) as deltas:
            async for delta in deltas:
                draft = drafts.samples[delta.index]
                freed = draft.freed_at is not None
                yield Writing(delta.index, delta.text, constrained=not freed, cut=draft.is_cut)

        yield Judging()
        judged = await judge(engine, plan, prompt.messages, drafts, plan.id)
        yield Decided(judged.verdict)

        with_hidden = None
        if parameters.check_injection and paper.integrity.hidden_text:
            with_hidden = await _verdict_with_hidden_text(engine, plan, paper)
        supports = await self._supports(paper, judged) if plan.generation else {}
        yield Completed(
            ReviewReport(
                id=plan.id,
                created=created,
                model=engine.model,
                mode=parameters.mode,
                template=plan.template.name,
                paper=paper,
                prompt=prompt,
                judged=judged,
                supports=supports,
                with_hidden=with_hidden,
                usage=drafts.usage,
                times=StageTimes(extract_s, drafts.queue_s, drafts.generate_s),
            )
        )

    async def _supports(self, paper: Paper, judged: Judged) -> Mapping[str, Support] | None:
        """What the paper holds of each of the review's points; None where that can't be found."""
        texts = judged.parsed.claims
        try:
            found = await self._reader.run(find_supports, paper, texts, returns=tuple[Support, ...])
        except PaperError as error:
            # A review that took minutes is not thrown away for its footnotes.
            log.warning("a review goes without evidence: %s", error.code)
            return None
        return dict(zip(texts, found, strict=True))


async def _packed(paper: Paper, engine: Engine, plan: Plan) -> Prompt:
    return await asyncio.to_thread(pack, paper, engine.tokenizer, plan.prompt_budget, plan.template)


async def _verdict_with_hidden_text(engine: Engine, plan: Plan, paper: Paper) -> Verdict:
    prompt = await _packed(await asyncio.to_thread(with_hidden_text, paper), engine, plan)
    return await verdict_of(engine, plan, prompt.messages, f"{plan.id}-with-hidden-text")
