"""Reviews of many papers by the service's own engine and code, each kept once it is finished."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.api.schemas.requests import ReviewParameters
from app.engine.supervisor import Launch, Supervisor
from app.errors import EngineError, ReviewerError
from app.paper.model import Paper
from app.paper.reader import PaperReader
from app.review.plan import ReviewRules
from app.review.report import ReviewReport
from app.review.service import ReviewService, finished
from app.settings import PREFIX, Settings, load_settings
from training.errors import InputInvalid, RecipeError
from training.jsonl import Appender, encoded, mend_tail, read_rows, write_rows
from training.recipe import Reviewing
from training.rows import PaperRow, ReviewedRow, blinded_paper, unblinded_paper
from training.stage import Job

CACHE = "cache.jsonl"
"""Reviews of all runs in a stage's folder: one is not generated again for another label, say."""
Launcher = Callable[[Settings], Launch]
"""What starts the engine that the settings name: the service's, or a test's double."""
_RECIPES_OWN = (
    "max_model_len",
    "prompt_tokens",
    "max_tokens",
    "temperature",
    "top_p",
    "review_format",
    "templates_dir",
    "calibration",
    "abstain_low",
    "abstain_high",
)
"""Settings that the recipe gives, or that would change the model's own answers."""
_RECORDED = (*_RECIPES_OWN[:6], "top_k", "dtype", "vllm_args", "enable_prefix_caching")
"""What a review depends on besides paper and model."""


def reviewing_settings(asked: Reviewing, **engine: object) -> Settings:
    """The service's settings: the recipe's, and what it does not say as in the environment.

    Raises:
        ConfigurationError: a ``REVIEWER_`` variable is wrong.
        RecipeError: one says what the recipe does.
    """
    given = load_settings()
    for name in _RECIPES_OWN:
        if name in given.model_fields_set:
            raise RecipeError(
                f"{PREFIX}{name.upper()} is set: the recipe says how papers are reviewed, and "
                "without calibration, abstaining and templates of one's own; unset it"
            )
    recipe = {
        "max_model_len": asked.max_model_len,
        "prompt_tokens": asked.prompt_tokens,
        "max_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "review_format": asked.format,
        "max_num_seqs": asked.concurrency,
    }
    return Settings.model_validate({**given.model_dump(), **recipe, **engine})


def as_served(asked: Reviewing, settings: Settings) -> dict[str, Any]:
    """How papers are reviewed, for the report, and for who serves the model as it was measured."""
    recorded = settings.model_dump(mode="json", include=set(_RECORDED))
    return {"mode": asked.mode, "samples": asked.samples, **recorded}


def review_papers(
    job: Job,
    papers: Sequence[PaperRow],
    asked: Reviewing,
    launch: Launch,
    settings: Settings,
    content: str,
    path: Path,
) -> list[ReviewedRow]:
    """One row for each paper, in their order; ``path`` gets them.

    ``content`` says which model it is. What was generated before of the same paper, model and
    settings is taken from the folder's cache.

    Raises:
        InputInvalid: a paper has no text; found before any is reviewed.
        ReviewerError: the engine does not start or fails, or a paper can't be reviewed.
    """
    for paper in papers:
        blinded_paper(paper)
    keys = {paper.id: _key(paper, content, as_served(asked, settings)) for paper in papers}
    cache = job.folder / CACHE
    done = {row.key: row for row in _kept(cache)}
    left = [paper for paper in papers if keys[paper.id] not in done]
    with (
        Appender(cache) as appender,
        job.progress(path.stem, len(papers), len(papers) - len(left)) as advance,
    ):

        def keep(row: ReviewedRow) -> None:
            row = msgspec.structs.replace(row, key=keys[row.paper])
            appender.append(row)
            done[row.key] = row
            advance()

        if left:
            asyncio.run(_review_all(left, asked, launch, settings, keep))
    rows = [_labelled(done[keys[paper.id]], paper) for paper in papers]
    write_rows(path, rows)
    return rows


def _key(paper: PaperRow, content: str, served: Mapping[str, Any]) -> str:
    sections = [(section.heading, section.text) for section in paper.sections]
    whole = [paper.title, paper.abstract, sections, content, served]
    return hashlib.sha256(encoded(whole)).hexdigest()


def _labelled(row: ReviewedRow, paper: PaperRow) -> ReviewedRow:
    """What is known of a paper may have changed since it was reviewed."""
    return msgspec.structs.replace(
        row,
        paper=paper.id,
        venue=paper.venue,
        title=paper.title,
        official=paper.decision,
        mean_rating=paper.mean_rating,
    )


def _kept(path: Path) -> Iterator[ReviewedRow]:
    mend_tail(path)
    return read_rows(path, ReviewedRow) if path.exists() else iter(())


async def _review_all(
    papers: Sequence[PaperRow],
    asked: Reviewing,
    launch: Launch,
    settings: Settings,
    keep: Callable[[ReviewedRow], None],
) -> None:
    supervisor = Supervisor(launch)
    await supervisor.start()
    try:
        await supervisor.ready()
        async with PaperReader(settings) as reader:
            service = ReviewService(ReviewRules.load(settings), supervisor, reader)
            queue = iter(papers)

            async def work() -> None:
                for paper in queue:
                    keep(await _review_one(service, paper, asked))

            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(min(asked.concurrency, len(papers))):
                        tasks.create_task(work())
            except ExceptionGroup as group:
                # The first failure ends the others: it is the one to tell.
                raise group.exceptions[0] from group
    finally:
        await supervisor.stop()


async def _review_one(service: ReviewService, paper: PaperRow, asked: Reviewing) -> ReviewedRow:
    """As the service reviews a paper that is sent as text, blinding included."""
    parameters = ReviewParameters(mode=asked.mode, samples=asked.samples)
    source: Paper = unblinded_paper(paper)
    began = time.perf_counter()
    try:
        review = await finished(service.start(source, parameters))
    except EngineError:
        raise
    except ReviewerError as error:
        raise InputInvalid(f"the paper {paper.id} can't be reviewed: {error}") from error
    return _row(paper, review, time.perf_counter() - began)


def _row(paper: PaperRow, review: ReviewReport, seconds: float) -> ReviewedRow:
    verdict = review.verdict
    return ReviewedRow(
        paper=paper.id,
        venue=paper.venue,
        title=paper.title,
        official=paper.decision,
        mean_rating=paper.mean_rating,
        model=review.model.name,
        decision=None if verdict.decision == "undecided" else verdict.decision,
        decided_by=verdict.source,
        probability=verdict.probability,
        samples=verdict.samples,
        text=review.text,
        finish_reason=review.finish_reason,
        prompt_tokens=review.usage.prompt,
        completion_tokens=review.usage.completion,
        cached_tokens=review.usage.cached,
        truncated=len(review.prompt.truncated),
        seconds=round(seconds, 3),
        key="",
    )
