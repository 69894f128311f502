"""Lets a teacher model review each collected paper. Answers are cached, so each is paid for once.

python -m training.teach --recipe training/recipes/full.yaml
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tenacity

from app.engine.base import Message
from app.errors import InvalidRequest
from training.base import base_tokenizer
from training.errors import InputInvalid, TeacherFailed
from training.examples import prompt_of
from training.jsonl import Appender, drop_partial_line, read_rows, write_rows
from training.recipe import Recipe, Teach
from training.rows import PaperRow, Rejected, TaughtRow, load_papers, text_sha256
from training.stage import Job, Stage, command, required, section_of, stage_file
from training.stub_teacher import serving, stub_app
from training.teachers import (
    Answer,
    GoogleTeacher,
    OpenAITeacher,
    PromptRefused,
    Teacher,
    Transient,
)

REVIEWS, REJECTED, CACHE = "reviews.jsonl", "rejected.jsonl", "cache.jsonl"
_REFUSED_IN_A_ROW = 5
"""After this many refused prompts in a row, the request itself is considered wrong."""


def inputs(recipe: Recipe) -> list[Path]:
    return [stage_file(recipe, "collect", "papers.jsonl")]


def main(job: Job) -> Mapping[str, Any]:
    teach: Teach = section_of(job.recipe, "teach")
    path = inputs(job.recipe)[0]
    papers = required(list(load_papers(path).values())[: teach.most], path, "papers")
    requests, rejected = _requests(job, teach, papers)
    cache = job.folder / CACHE
    answered = {row.prompt_sha256: row for row in _cached(cache)}
    unanswered = [request for request in requests if request.key not in answered]
    spent = Spent(teach)
    for request in requests:
        if request.key in answered:
            spent.add(answered[request.key])
    n_known = len(requests) - len(unanswered)
    with (
        Appender(cache, sync=True) as appender,
        job.progress("teach", len(requests), n_known) as advance,
    ):

        def keep(row: TaughtRow) -> None:
            appender.append(row)
            answered[row.prompt_sha256] = row
            spent.add(row)
            advance(note=str(spent))

        refused, omitted = asyncio.run(_request_all(teach, unanswered, keep))
    rejected += refused
    write_rows(job.folder / REJECTED, rejected)
    reviews = [answered[request.key] for request in requests if request.key in answered]
    write_rows(job.folder / REVIEWS, reviews)
    counts: dict[str, Any] = {
        "papers": len(papers),
        "answered": len(reviews),
        **{f"left out: {reason}": n for reason, n in Counter(r.reason for r in rejected).items()},
        **{f"ended with {why}": n for why, n in Counter(r.finish_reason for r in reviews).items()},
        **spent.counts(),
        **({"asked without": ", ".join(sorted(omitted))} if omitted else {}),
    }
    job.show_counts("teach", counts)
    return counts


@dataclass(frozen=True, slots=True)
class _Request:
    paper: str
    messages: Sequence[Message]
    key: str
    """Hash of everything that the answer depends on."""


def _requests(
    job: Job, teach: Teach, papers: Sequence[PaperRow]
) -> tuple[list[_Request], list[Rejected]]:
    tokenizer = base_tokenizer(job.recipe.model)
    requests: list[_Request] = []
    rejected: list[Rejected] = []
    for paper in job.track(papers, "prompts"):
        try:
            budget = job.recipe.teacher_prompt_tokens
            messages = prompt_of(paper, tokenizer, budget).messages
        except (InputInvalid, InvalidRequest) as error:
            rejected.append(_left_out(paper.id, "no_prompt", str(error)))
            continue
        requests.append(_Request(paper.id, messages, _key(teach, messages)))
    return requests, rejected


def _key(teach: Teach, messages: Sequence[Message]) -> str:
    depends_on = {
        "provider": teach.provider,
        "model": teach.model,
        "temperature": teach.temperature,
        "max_output_tokens": teach.max_output_tokens,
        "thinking": teach.thinking_level or teach.thinking_budget,
        "messages": [asdict(message) for message in messages],
    }
    return text_sha256(json.dumps(depends_on, sort_keys=True))


def _left_out(paper: str, reason: str, detail: str) -> Rejected:
    return Rejected(id=paper, paper=paper, source="teacher", reason=reason, detail=detail)


def _cached(cache: Path) -> Iterator[TaughtRow]:
    if cache.exists():
        drop_partial_line(cache)
        yield from read_rows(cache, TaughtRow)


@asynccontextmanager
async def _teacher(teach: Teach) -> AsyncIterator[Teacher]:
    if teach.provider == "stub":
        with serving(stub_app()) as url:
            async with aclosing(OpenAITeacher(teach, f"{url}/v1", "stub")) as stub:
                yield stub
        return
    teacher = GoogleTeacher(teach) if teach.provider == "google" else OpenAITeacher(teach)
    async with aclosing(teacher):
        yield teacher


async def _request_all(
    teach: Teach, requests: Sequence[_Request], keep: Callable[[TaughtRow], None]
) -> tuple[list[Rejected], set[str]]:
    """Send all requests, some at a time. ``keep`` is called with each answer at once.

    Returns the refused prompts, and the parameters that were omitted because the endpoint refuses
    them.

    Raises:
        TeacherFailed: no request can succeed, or one failed in all attempts. Requests in flight are
            completed first, since they will be charged.
    """
    queue = _RequestQueue(teach, iter(requests), keep)
    omitted: set[str] = set()
    if requests:
        async with _teacher(teach) as teacher:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(teach.concurrency, len(requests))):
                    group.create_task(queue.work(teacher))
            omitted = teacher.omitted
    if queue.failure:
        raise queue.failure
    return queue.refused, omitted


@dataclass
class _RequestQueue:
    """The state that the concurrent tasks share."""

    teach: Teach
    waiting: Iterator[_Request]
    keep: Callable[[TaughtRow], None]
    refused: list[Rejected] = field(default_factory=list)
    in_a_row: int = 0
    failure: TeacherFailed | None = None

    async def work(self, teacher: Teacher) -> None:
        for request in self.waiting:
            if self.failure:
                return
            try:
                answer = await self._with_retries(teacher, request)
            except TeacherFailed as error:
                self.failure = self.failure or error
            except PromptRefused as error:
                self._refuse(request, error)
            else:
                self.in_a_row = 0
                self.keep(_row(self.teach, request, answer))

    def _refuse(self, request: _Request, error: PromptRefused) -> None:
        self.refused.append(_left_out(request.paper, "request_refused", str(error)))
        self.in_a_row += 1
        if self.in_a_row == _REFUSED_IN_A_ROW:
            self.failure = TeacherFailed(
                f"the teacher refused {self.in_a_row} prompts in a row, the last with {error}"
            )

    async def _with_retries(self, teacher: Teacher, request: _Request) -> Answer:
        """The answer to a request.

        Raises:
            PromptRefused: the teacher refuses this prompt.
            TeacherFailed: no request can succeed, or all attempts failed.
        """
        teach = self.teach
        backoff = tenacity.wait_exponential_jitter(
            initial=teach.first_delay_s, max=teach.longest_delay_s, jitter=teach.first_delay_s
        )

        def wait(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            retry_after_s = error.after_s if isinstance(error, Transient) else 0.0
            return min(max(backoff(state), retry_after_s), teach.longest_delay_s)

        def stop(state: tenacity.RetryCallState) -> bool:
            return self.failure is not None or state.attempt_number >= teach.attempts

        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Transient), stop=stop, wait=wait, reraise=True
        )
        try:
            return await tries(teacher.ask, request.messages)
        except Transient as error:
            raise TeacherFailed(
                f"the teacher gave no answer on {request.paper} in {teach.attempts} attempts "
                f"({error}); its answers so far are kept: run the stage again to continue"
            ) from error


def _row(teach: Teach, request: _Request, answer: Answer) -> TaughtRow:
    return TaughtRow(
        paper=request.paper,
        prompt_sha256=request.key,
        teacher=teach.model,
        text=answer.text,
        finish_reason=answer.finish_reason,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        thinking_tokens=answer.thinking_tokens,
    )


class Spent:
    """Token counts and cost of all answers, including cached ones from earlier runs."""

    def __init__(self, teach: Teach) -> None:
        self._prices = (teach.usd_per_million_in, teach.usd_per_million_out)
        self._prompt = self._written = self._thought = 0

    def add(self, row: TaughtRow) -> None:
        self._prompt += row.prompt_tokens
        self._written += row.completion_tokens
        self._thought += row.thinking_tokens

    @property
    def usd(self) -> float | None:
        """None if the recipe has no prices."""
        price_in, price_out = self._prices
        if price_in is None or price_out is None:
            return None
        return (self._prompt * price_in + (self._written + self._thought) * price_out) / 1e6

    def __str__(self) -> str:
        cost = "" if self.usd is None else f", ${self.usd:,.2f}"
        return f"{self._prompt:,} tokens in, {self._written + self._thought:,} out{cost}"

    def counts(self) -> dict[str, int | float]:
        counts: dict[str, int | float] = {
            "prompt tokens": self._prompt,
            "completion tokens": self._written,
            "thinking tokens": self._thought,
        }
        return counts if self.usd is None else counts | {"US dollars": round(self.usd, 4)}


STAGE = Stage(
    name="teach",
    # The prompts depend on the student's budget.
    sections=("model", "teach", "sft.max_length", "benchmark.max_tokens"),
    inputs=inputs,
    outputs=lambda _: (REVIEWS, REJECTED),
    main=main,
    keeps=(CACHE,),
)

if __name__ == "__main__":
    command(STAGE)
