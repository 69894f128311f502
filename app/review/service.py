"""Reviews a paper: reads it, prompts the model, parses the answer; each step yields an event."""

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
from app.review.evidence import Support, find_supports
from app.review.injection import with_hidden_text
from app.review.packing import Prompt, pack
from app.review.plan import Plan, ReviewRules
from app.review.report import ReviewReport, StageTimes
from app.review.samples import ChosenSample, Samples, generate, read_verdicts, verdict_of
from app.review.structure import Constraint
from app.review.template import SectionSpec
from app.review.verdict import Verdict

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request is valid, and the review begins."""

    id: str
    created: int
    model: str
    sections: tuple[SectionSpec, ...]
    constraint: Constraint | None
    """See :class:`app.review.plan.Plan`."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The file behind the link has been fetched."""

    file: File


@dataclass(frozen=True, slots=True)
class Extracted:
    """The paper has been read."""

    paper: Paper


@dataclass(frozen=True, slots=True)
class Prompted:
    """The prompt is ready, and is sent to the model."""

    paper: Paper
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Writing:
    """The next piece of a sample's text.

    ``constrained`` is false for text after the point where the engine stopped applying the
    constraint. ``cut`` is true if the sample's text ends here, before the model ended it.
    """

    sample: int
    text: str
    constrained: bool = True
    cut: bool = False


@dataclass(frozen=True, slots=True)
class ReadingVerdict:
    """All text is generated; the verdicts are read from the model next."""


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
    """The review failed; see :func:`with_failure`."""

    error: ReviewerError


Event = (
    Accepted
    | Fetched
    | Extracted
    | Prompted
    | Writing
    | ReadingVerdict
    | Decided
    | Completed
    | Failed
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request, checked against the model that will answer it."""

    engine: Engine
    plan: Plan
    parameters: ReviewParameters


async def finished(events: AsyncGenerator[Event, None]) -> ReviewReport:
    """Consume the events and return the report. Raises the error of a review that fails."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Completed):
                return event.report
            if isinstance(event, Failed):
                raise event.error
    raise AssertionError("events end with Completed or an error")


async def with_failure(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The events; an exception, also an unexpected one, becomes a last event :class:`Failed`."""
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except ReviewerError as error:
        yield Failed(error)
    except Exception as error:  # noqa: BLE001  # a response that streams can't become a 500
        yield Failed(unexpected(error))


class ReviewService:
    """Reviews papers with the engine that the supervisor has running."""

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
        """Check the request against the model. Without ``review_id`` the review gets a new id.

        For ``cache_salt`` see :class:`app.engine.base.Generation`.

        Raises:
            InvalidRequest: the model can't meet the parameters.
            EngineUnavailable: no model is running.
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
        """The review's events; closing the generator aborts the work.

        ``created`` is a Unix time, by default now.

        Raises:
            InvalidRequest: title and abstract fill the prompt, or the link is not allowed.
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

        samples = Samples()
        async with aclosing(generate(engine, plan, prompt.messages, samples, plan.id)) as deltas:
            async for delta in deltas:
                sample = samples.items[delta.index]
                constrained = sample.constraint_ended_at is None
                yield Writing(delta.index, delta.text, constrained=constrained, cut=sample.is_cut)

        yield ReadingVerdict()
        chosen = await read_verdicts(engine, plan, prompt.messages, samples, plan.id)
        yield Decided(chosen.verdict)

        with_hidden = None
        if parameters.check_injection and paper.integrity.hidden_text:
            with_hidden = await _verdict_with_hidden_text(engine, plan, paper)
        supports = await self._supports(paper, chosen) if plan.generation else {}
        yield Completed(
            ReviewReport(
                id=plan.id,
                created=created,
                model=engine.model,
                mode=parameters.mode,
                template=plan.template.name,
                paper=paper,
                prompt=prompt,
                chosen=chosen,
                supports=supports,
                with_hidden=with_hidden,
                usage=samples.usage,
                times=StageTimes(extract_s, samples.queue_s, samples.generate_s),
            )
        )

    async def _supports(self, paper: Paper, chosen: ChosenSample) -> Mapping[str, Support] | None:
        """The evidence for each of the review's points; None if the search for it fails."""
        texts = chosen.parsed.claims
        try:
            found = await self._reader.run(find_supports, paper, texts, returns=tuple[Support, ...])
        except PaperError as error:
            # The review may have taken minutes: it is returned without evidence.
            log.warning("a review goes without evidence: %s", error.code)
            return None
        return dict(zip(texts, found, strict=True))


async def _packed(paper: Paper, engine: Engine, plan: Plan) -> Prompt:
    return await asyncio.to_thread(pack, paper, engine.tokenizer, plan.prompt_budget, plan.template)


async def _verdict_with_hidden_text(engine: Engine, plan: Plan, paper: Paper) -> Verdict:
    prompt = await _packed(await asyncio.to_thread(with_hidden_text, paper), engine, plan)
    return await verdict_of(engine, plan, prompt.messages, f"{plan.id}-with-hidden-text")
