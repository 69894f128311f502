"""Reviews by an engine of the command's own, the way ``reviewer review`` makes them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any, Self

import msgspec

from app.client.batch.reviewer import refusal_of
from app.errors import ReviewerError, unexpected
from app.local import LocalService, local_service
from app.paper.sources import File
from app.review.service import finished
from app.schemas.requests import ReviewParameters
from app.settings import Settings


class LocalReviewer:
    """Implements :class:`app.client.batch.reviewer.Reviewer`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._local: LocalService | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def start(self) -> str:
        self._local = await self._stack.enter_async_context(local_service(self._settings))
        return self._local.supervisor.engine().model.name

    async def review(self, file: File, asked: ReviewParameters) -> dict[str, Any]:
        assert self._local, "start() comes first"  # noqa: S101  # tells mypy, too
        try:
            made = await finished(self._local.reviews.start(file, asked))
            review: dict[str, Any] = msgspec.json.decode(made.model_dump_json())
        except ReviewerError as error:
            raise refusal_of(error) from error
        except Exception as error:  # one paper of thousands
            raise refusal_of(unexpected(error)) from error
        return review
