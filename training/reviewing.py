"""Reviews many papers with the service's engine and code. Finished reviews are cached."""

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
from training.jsonl import Appender, drop_partial_line, encoded, read_rows, write_rows
from training.recipe import Reviewing
from training.rows import PaperRow, ReviewedRow, blinded_paper, unblinded_paper
from training.stage import Job

CACHE = "cache.jsonl"
"""File with the reviews of all runs in a stage's folder. They are used again, for example if only
the label changes."""
Launcher = Callable[[Settings], Launch]
"""Returns the function that starts the engine for these settings (tests have their own)."""
_FROM_RECIPE = (
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
"""Settings that come from the recipe, or that would change the model's answers."""
_RECORDED = (*_FROM_RECIPE[:6], "top_k", "dtype", "vllm_args", "enable_prefix_caching")
"""Settings that a review depends on, besides the paper and the model."""


def reviewing_settings(options: Reviewing, **engine: object) -> Settings:
    """The service's settings: those of the recipe, and all others from the environment.

    Raises:
        ConfigurationError: a ``REVIEWER_`` variable is invalid.
        RecipeError: a variable sets what must come from the recipe.
    """
    given = load_settings()
    for name in _FROM_RECIPE:
        if name in given.model_fields_set:
            raise RecipeError(
                f"{PREFIX}{name.upper()} is set; unset it: the recipe says how papers are "
                "reviewed, without a calibration, an abstain band or custom templates"
            )
    recipe = {
        "max_model_len": options.max_model_len,
        "prompt_tokens": options.prompt_tokens,
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "top_p": options.top_p,
        "review_format": options.format,
        "max_num_seqs": options.concurrency,
    }
    return Settings.model_validate({**given.model_dump(), **recipe, **engine})


def as_served(options: Reviewing, settings: Settings) -> dict[str, Any]:
    """How the papers are reviewed, for the report: serve the model so to get the same results."""
    recorded = settings.model_dump(mode="json", include=set(_RECORDED))
    return {"mode": options.mode, "samples": options.samples, **recorded}


def review_papers(
    job: Job,
    papers: Sequence[PaperRow],
    options: Reviewing,
    launch: Launch,
    settings: Settings,
    content: str,
    path: Path,
) -> list[ReviewedRow]:
    """Review the papers; write a row for each to ``path``, and return the rows in the same order.

    ``content`` identifies the model. Reviews of the same paper, model and settings are taken from
    the folder's cache.

    Raises:
        InputInvalid: a paper has no text; checked before any paper is reviewed.
        ReviewerError: the engine does not start or fails, or a paper can't be reviewed.
    """
    for paper in papers:
        blinded_paper(paper)
    keys = {paper.id: _key(paper, content, as_served(options, settings)) for paper in papers}
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
            asyncio.run(_review_all(left, options, launch, settings, keep))
    rows = [_labelled(done[keys[paper.id]], paper) for paper in papers]
    write_rows(path, rows)
    return rows


def _key(paper: PaperRow, content: str, served: Mapping[str, Any]) -> str:
    sections = [(section.heading, section.text) for section in paper.sections]
    whole = [paper.title, paper.abstract, sections, content, served]
    return hashlib.sha256(encoded(whole)).hexdigest()


def _labelled(row: ReviewedRow, paper: PaperRow) -> ReviewedRow:
    """The row with the paper's current label and ratings: a cached row may have old ones."""
    return msgspec.structs.replace(
        row,
        paper=paper.id,
        venue=paper.venue,
        title=paper.title,
        official=paper.decision,
        mean_rating=paper.mean_rating,
    )


def _kept(path: Path) -> Iterator[ReviewedRow]:
    drop_partial_line(path)
    return read_rows(path, ReviewedRow) if path.exists() else iter(())


async def _review_all(
    papers: Sequence[PaperRow],
    options: Reviewing,
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
                    keep(await _review_one(service, paper, options))

            try:
                async with asyncio.TaskGroup() as tasks:
                    for _ in range(min(options.concurrency, len(papers))):
                        tasks.create_task(work())
            except ExceptionGroup as group:
                # The first failure has cancelled the other tasks.
                raise group.exceptions[0] from group
    finally:
        await supervisor.stop()


async def _review_one(service: ReviewService, paper: PaperRow, options: Reviewing) -> ReviewedRow:
    """Review a paper as if it were sent to the service as text; the service blinds it."""
    parameters = ReviewParameters(mode=options.mode, samples=options.samples)
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
