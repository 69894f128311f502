"""Reviews of many papers by the service's own engine and code, each kept once it is finished."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from app.api.schemas.requests import ReviewParameters
from app.engine.supervisor import Launch, Supervisor
from app.errors import EngineError, ReviewerError
from app.paper.model import Paper
from app.paper.reader import PaperReader
from app.review.plan import ReviewRules
from app.review.report import ReviewReport
from app.review.service import ReviewService, finished
from app.settings import Settings, load_settings
from training.errors import InputInvalid
from training.jsonl import Appender, mend_tail, read_rows, write_rows
from training.recipe import Reviewing
from training.rows import PaperRow, ReviewedRow, blinded_paper, unblinded_paper
from training.stage import Job

Launcher = Callable[[Settings], Launch]
"""What starts the engine that the settings name: the service's, or a test's double."""


def reviewing_settings(asked: Reviewing, **engine: object) -> Settings:
    """The service's settings: the recipe's, and what it does not say as in the environment.

    Raises:
        ConfigurationError: a ``REVIEWER_`` variable is wrong.
    """
    recipe = {
        "max_model_len": asked.max_model_len,
        "prompt_tokens": asked.prompt_tokens,
        "max_tokens": asked.max_tokens,
        "temperature": asked.temperature,
        "top_p": asked.top_p,
        "review_format": asked.format,
        "max_num_seqs": asked.concurrency,
    }
    # These would change the model's own answers.
    plain = dict.fromkeys(("templates_dir", "calibration", "abstain_low", "abstain_high"))
    return Settings.model_validate({**load_settings().model_dump(), **recipe, **plain, **engine})


def review_papers(
    job: Job,
    papers: Sequence[PaperRow],
    asked: Reviewing,
    launch: Launch,
    settings: Settings,
    path: Path,
) -> list[ReviewedRow]:
    """One row for each paper, in their order; ``path`` gets them, first as they are finished.

    Of a killed run, what is in ``path`` stays.

    Raises:
        InputInvalid: a paper has no text; found before any is reviewed.
        ReviewerError: the engine does not start or fails, or a paper can't be reviewed.
    """
    for paper in papers:
        blinded_paper(paper)
    if not job.resumed:
        path.unlink(missing_ok=True)
    done = {row.paper: row for row in _kept(path)}
    left = [paper for paper in papers if paper.id not in done]
    with (
        Appender(path) as appender,
        job.progress(path.stem, len(papers), len(papers) - len(left)) as advance,
    ):

        def keep(row: ReviewedRow) -> None:
            appender.append(row)
            done[row.paper] = row
            advance()

        if left:
            asyncio.run(_review_all(left, asked, launch, settings, keep))
    rows = [done[paper.id] for paper in papers]
    write_rows(path, rows)
    return rows


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
    )
