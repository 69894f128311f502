"""Reviews without a running service: engine and reader of the command's own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.engine.launcher import engine_launcher
from app.engine.supervisor import Supervisor
from app.paper.reader import PaperReader
from app.review.plan import ReviewRules
from app.review.service import ReviewService
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class LocalService:
    reviews: ReviewService
    supervisor: Supervisor


@asynccontextmanager
async def local_service(settings: Settings) -> AsyncGenerator[LocalService, None]:
    """Loads the model, and stops it at the end.

    Raises:
        ConfigurationError: the settings can't work.
        EngineUnavailable: the model did not start.
    """
    rules = ReviewRules.load(settings)
    supervisor = Supervisor(engine_launcher(settings))
    try:
        await supervisor.start()
        await supervisor.ready()
        async with PaperReader(settings) as reader:
            yield LocalService(ReviewService(rules, supervisor, reader), supervisor)
    finally:
        await supervisor.stop()
