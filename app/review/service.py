"""The use case: a paper in, a review with its verdict out, step by step as events."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal

from app.engine.base import Delta, Engine, Generation, ServedModel, Usage
from app.engine.supervisor import Supervisor
from app.errors import InvalidRequest, ModelNotFound
from app.paper.model import Paper
from app.paper.reader import PaperReader
from app.paper.sources import Source
from app.resources import paper_integrity
from app.review.packing import Prompt, pack
from app.review.parse import ParsedReview, parse_review
from app.review.structure import review_structure
from app.review.verdict import Reading, read_verdict, up_to_the_verdict
from app.schemas import (
    Integrity,
    Mass,
    PaperInfo,
    Point,
    Review,
    ReviewParameters,
    ReviewSections,
    SectionInfo,
    Timings,
    TokenUsage,
    Truncation,
    Verdict,
)
from app.settings import Settings

TRIAL_NOTICE = (
    "Written by a tiny model that is there to try the service. This review and its verdict are "
    "worth nothing."
)
_LEAST_PROMPT = 512
_VERDICT_ROOM = 32
"""Tokens of the context that the verdict's reading needs beyond prompt and review."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The paper has been read."""

    paper: Paper


@dataclass(frozen=True, slots=True)
class Prompted:
    """The prompt is on its way to the model."""

    prompt: Prompt


@dataclass(frozen=True, slots=True)
class Writing:
    """The next piece of the review's text."""

    text: str


@dataclass(frozen=True, slots=True)
class Judging:
    """The review is written, and its verdict is being read."""


@dataclass(frozen=True, slots=True)
class Completed:
    """The review is finished."""

    review: Review


Event = Extracted | Prompted | Writing | Judging | Completed


@dataclass(slots=True)
class _Written:
    """The model's text so far, and how it went."""

    text: str = ""
    finish_reason: str = "stop"
    usage: Usage = field(default_factory=Usage)
    queue_s: float = 0.0
    generate_s: float = 0.0


class ReviewService:
    """Reviews papers with whatever engine the supervisor has running."""

    def __init__(self, settings: Settings, supervisor: Supervisor, reader: PaperReader) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._reader = reader

    async def review(self, source: Source, parameters: ReviewParameters) -> Review:
        """The finished review; see :meth:`events` for the errors."""
        async with aclosing(self.events(source, parameters)) as events:
            async for event in events:
                if isinstance(event, Completed):
                    return event.review
        raise AssertionError("events() ends with Completed or an error")

    async def events(
        self, source: Source, parameters: ReviewParameters
    ) -> AsyncGenerator[Event, None]:
        """Extracted, Prompted, many Writing, Judging, Completed. Closing it aborts the work.

        Raises:
            InvalidRequest: the parameters don't suit the model, or the link is refused.
            PaperError: the paper can't be read.
            EngineError: the model can't answer.
        """
        created, started = int(time.time()), time.perf_counter()
        engine = self._supervisor.engine()
        generation = self._plan(engine, parameters)
        paper = await self._reader.read(source, blind=parameters.blind)
        extract_s = time.perf_counter() - started
        yield Extracted(paper)

        budget = _prompt_budget(engine.model, generation.max_tokens)
        prompt = await asyncio.to_thread(pack, paper, engine.tokenizer, budget)
        yield Prompted(prompt)

        generation = replace(generation, messages=prompt.messages)
        written = _Written()
        async with aclosing(_write(engine, generation, written)) as deltas:
            async for delta in deltas:
                yield Writing(delta.text)

        yield Judging()
        parsed = parse_review(written.text)
        reading = await read_verdict(
            engine,
            prompt.messages,
            up_to_the_verdict(written.text, parsed),
            f"{generation.request_id}-verdict",
        )
        yield Completed(
            Review(
                id=generation.request_id,
                created=created,
                model=engine.model.name,
                notice=TRIAL_NOTICE if engine.model.for_trial else None,
                paper=_paper_info(paper, prompt),
                review=_sections(parsed),
                verdict=_verdict(parsed, reading),
                integrity=Integrity(truncated=_truncations(prompt), **dict(paper_integrity(paper))),
                usage=TokenUsage(
                    prompt_tokens=written.usage.prompt,
                    completion_tokens=written.usage.completion,
                    cached_tokens=written.usage.cached,
                ),
                timings=Timings(
                    extract_s=round(extract_s, 4),
                    queue_s=round(written.queue_s, 4),
                    generate_s=round(written.generate_s, 4),
                ),
                finish_reason=written.finish_reason,
                text=written.text,
            )
        )

    def _plan(self, engine: Engine, asked: ReviewParameters) -> Generation:
        """The generation that the parameters ask for, its messages still missing."""
        model = engine.model
        if asked.model is not None and asked.model not in (model.name, *model.also_named):
            raise ModelNotFound(f"The model {asked.model!r} is not served here.", param="model")
        max_tokens = asked.max_tokens or model.max_tokens
        if _prompt_budget(model, max_tokens) < _LEAST_PROMPT:
            raise InvalidRequest(
                f"max_tokens of {max_tokens} leaves less than {_LEAST_PROMPT} tokens of the "
                f"context of {model.max_model_len} for the paper.",
                param="max_tokens",
            )
        defaults = self._settings
        structured = (asked.format or defaults.review_format) == "structured"
        return Generation(
            request_id=f"rev_{uuid.uuid4().hex}",
            messages=(),
            max_tokens=max_tokens,
            temperature=defaults.temperature if asked.temperature is None else asked.temperature,
            top_p=defaults.top_p if asked.top_p is None else asked.top_p,
            seed=asked.seed,
            structure=review_structure(engine.tokenizer, max_tokens) if structured else None,
        )


def _prompt_budget(model: ServedModel, max_tokens: int) -> int:
    left = model.max_model_len - max_tokens - _VERDICT_ROOM
    return left if model.max_prompt_tokens is None else min(left, model.max_prompt_tokens)


async def _write(
    engine: Engine, generation: Generation, written: _Written
) -> AsyncGenerator[Delta, None]:
    """Passes the deltas on, and keeps in ``written`` what they add up to."""
    sent = time.perf_counter()
    first: float | None = None
    async with aclosing(engine.generate(generation)) as deltas:
        async for delta in deltas:
            first = first or time.perf_counter()
            written.text += delta.text
            if delta.finish_reason is not None:
                written.finish_reason, written.usage = delta.finish_reason, delta.usage
            yield delta
    ended = time.perf_counter()
    written.queue_s = (first or ended) - sent
    written.generate_s = ended - (first or ended)


def _sections(parsed: ParsedReview) -> ReviewSections:
    return ReviewSections(
        summary=parsed.prose.get("summary", ""),
        strengths=[Point(text=text) for text in parsed.points.get("strengths", ())],
        weaknesses=[Point(text=text) for text in parsed.points.get("weaknesses", ())],
        technical_soundness=parsed.prose.get("technical_soundness", ""),
        clarity=parsed.prose.get("clarity", ""),
        significance=parsed.prose.get("significance", ""),
    )


def _verdict(parsed: ParsedReview, reading: Reading | None) -> Verdict:
    """The review's own decision, or else the likelier label; null where neither can be had."""
    decision = parsed.decision
    source: Literal["review_line", "probe"] | None = "review_line" if decision else None
    if decision is None and reading is not None:
        decision = "accept" if reading.probability >= 0.5 else "reject"
        source = "probe"
    return Verdict(
        decision=decision,
        probability=reading.probability if reading else None,
        mass=Mass(**reading.mass) if reading else None,
        source=source,
        samples=[reading.probability] if reading else [],
    )


def _paper_info(paper: Paper, prompt: Prompt) -> PaperInfo:
    return PaperInfo(
        title=paper.title,
        abstract=paper.abstract,
        pages=paper.pages,
        sha256=paper.sha256,
        sections=[
            SectionInfo(
                heading=packed.section.heading,
                level=packed.section.level,
                page=packed.section.page,
                kind=packed.section.kind,
                tokens=packed.tokens,
                included=packed.kept > 0,
            )
            for packed in prompt.sections
        ],
    )


def _truncations(prompt: Prompt) -> list[Truncation]:
    return [
        Truncation(
            heading=packed.section.heading,
            page=packed.section.page,
            tokens=packed.tokens,
            kept_tokens=packed.kept,
        )
        for packed in prompt.sections
        if packed.kept < packed.tokens
    ]
