"""Reviews of many papers by the service's own code, each kept as soon as it is finished."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from app.engine.launcher import engine_launcher
from app.engine.supervisor import Launch, Supervisor
from app.errors import EngineError, ReviewerError
from app.paper.reader import PaperReader
from app.paper.text import paper_from_sections
from app.review.decision import Decision
from app.review.plan import ReviewRules
from app.review.service import ReviewService, finished
from app.schemas.requests import ReviewParameters
from app.schemas.review import Review
from app.settings import Settings
from training.errors import InputInvalid
from training.jsonl import Appender, mend_tail, read_rows, write_rows
from training.recipe import Reviewing
from training.rows import PaperRow, Row, blinded_paper

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from training.stage import Job

Launcher = Callable[[Settings], Launch]
"""What starts the engine that the settings name: the service's, or a test's double."""


class ReviewedRow(Row, frozen=True):
    """What the model said of one paper, beside what people did."""

    paper: str
    venue: str
    title: str
    official: Decision | None
    mean_rating: float | None
    model: str
    decision: Decision | None
    """None where the text states none and the model could not be asked."""
    source: Literal["review_line", "probe"] | None
    """As the service's `verdict.source`."""
    probability: float | None
    """Of acceptance, as the model has it."""
    samples: tuple[float, ...]
    text: str
    """The review, whole; empty in mode `verdict`."""
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    truncated: int
    """Sections of which the model saw only a part, or nothing."""
    seconds: float
    """From the paper's sending to its verdict, among others under way."""
    error: str | None = None
    """Code of the error in the review's place: this paper can't be reviewed."""


def reviewing_settings(asked: Reviewing, **engine: object) -> Settings:
    """The service's settings; what the recipe does not say is as in the service's environment."""
    return Settings.model_validate(
        {
            **Settings().model_dump(),
            "max_model_len": asked.max_model_len,
            "prompt_tokens": asked.prompt_tokens,
            "max_tokens": asked.max_tokens,
            "temperature": asked.temperature,
            "top_p": asked.top_p,
            "review_format": asked.format,
            "max_num_seqs": asked.concurrency,
            "max_queued_requests": max(asked.concurrency * asked.samples, 16),
            # What would change the model's own answers.
            "templates_dir": None,
            "calibration": None,
            "abstain_low": None,
            "abstain_high": None,
            **engine,
        }
    )
