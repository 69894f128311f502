"""Who reviews the papers of a batch, and what can come in between."""

from __future__ import annotations

from typing import Any, Literal, Protocol, Self

from app.errors import ReviewerError
from app.paper.sources import File
from app.schemas.errors import ErrorDetail
from app.schemas.requests import ReviewParameters

Blame = Literal["paper", "run", "service", "away"]
"""What a refusal is about: this paper (asking again is of no use); the run (no paper would fare
better); the service, perhaps because of this paper (a few tries); or the service is not there now,
or busy, whatever the paper (it is waited for)."""

_ABOUT_THE_RUN = (401, 403, 404, 405, 407, 415)
_BAD_REQUEST, _REQUEST_TIMEOUT, _TOO_MANY_REQUESTS, _UNAVAILABLE = 400, 408, 429, 503
_GATEWAY = (502, 503, 504)


class Refused(Exception):
    """No review of this paper, this time."""

    def __init__(
        self, error: ErrorDetail, blame: Blame, retry_after_s: float | None = None
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.blame = blame
        self.retry_after_s = retry_after_s


class Reviewer(Protocol):
    """An async context manager; leaving it ends what is in flight."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...

    async def start(self) -> str:
        """Be able to review; the model's name.

        Raises:
            Refused: it is not able to, now or at all.
            ReviewerError: it never will be.
        """
        ...

    async def review(self, file: File, asked: ReviewParameters) -> dict[str, Any]:
        """The review's resource. Cancelling the call ends the work.

        Raises:
            Refused: there is none.
        """
        ...


def refusal(
    status: int, error: ErrorDetail | None, where: str, retry_after_s: float | None = None
) -> Refused:
    """What an answer that is no review means; ``error`` is None where it is none of ours."""
    if error is None:
        known = failure(f"{where} answered {status}, and it is no reviewer's answer", "no_answer")
        if status in (*_GATEWAY, _TOO_MANY_REQUESTS, _REQUEST_TIMEOUT):
            # A proxy whose service is being restarted.
            return Refused(known, "away", retry_after_s)
        return Refused(known, "service" if status >= 500 else "run")
    return Refused(error, _blame(status, error), retry_after_s)


def _blame(status: int, error: ErrorDetail) -> Blame:
    if status in _ABOUT_THE_RUN:
        return "run"
    if status == _BAD_REQUEST and error.param in ReviewParameters.model_fields:
        return "run"
    if status in (_TOO_MANY_REQUESTS, _REQUEST_TIMEOUT):
        return "away"
    if status == _UNAVAILABLE and error.code != "engine_error":
        return "away"
    return "service" if status >= 500 else "paper"


def refusal_of(error: ReviewerError) -> Refused:
    """An error of our own service, in this process."""
    detail = ErrorDetail.model_validate(error.envelope()["error"])
    return refusal(error.status, detail, "the engine", error.retry_after)


def failure(message: str, code: str, param: str | None = None) -> ErrorDetail:
    """An error that the batch itself tells, in the words of all others."""
    return ErrorDetail(message=message, type="batch_error", param=param, code=code)
