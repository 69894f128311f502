"""All errors that a client can see. A handler in ``app.main`` turns them into OpenAI's envelope.

ReviewerError                      500  internal_error
├── InvalidRequest                 400  (the code says what: missing_field, invalid_value, ...)
│   ├── UrlNotAllowed              400  url_not_allowed
│   ├── ModelNotFound              404  model_not_found
│   ├── ChatNotServed              404  chat_not_served
│   ├── ReviewNotFound             404  review_not_found
│   ├── PaperNotStored             404  paper_not_stored
│   ├── PageNotFound               404  page_not_found
│   ├── PointNotFound              404  point_not_found
│   ├── IdempotencyMismatch        409  idempotency_key_mismatch
│   ├── ReviewCancelled            409  review_cancelled
│   ├── ReviewFinished             409  review_finished
│   ├── ReviewNotCompleted         409  review_not_completed
│   ├── PointsChanged              409  points_changed
│   ├── BodyTooSlow                408  body_too_slow
│   ├── UploadTooLarge             413  pdf_too_large
│   ├── RequestTooLarge            413  request_too_large
│   ├── UnsupportedMediaType       415  unsupported_media_type
│   └── InvalidApiKey              401  invalid_api_key
├── RateLimited                    429  rate_limit_exceeded
├── Overloaded                     503  overloaded
├── ShuttingDown                   503  shutting_down
├── PaperError                     422  pdf_unreadable
│   ├── PdfEmpty                   422  pdf_empty
│   ├── NotAPdf                    422  not_a_pdf
│   ├── PdfEncrypted               422  pdf_encrypted
│   ├── PdfNoText                  422  pdf_no_text
│   ├── PdfTooManyPages            422  pdf_too_many_pages
│   ├── PdfTooLong                 422  pdf_too_long
│   ├── LatexUnreadable            422  latex_unreadable
│   ├── TextUnreadable             422  text_unreadable
│   ├── ArchiveUnreadable          422  archive_unreadable
│   │   └── ArchiveUnsafe          422  archive_unsafe
│   ├── ExtractionTimeout          422  extraction_timeout
│   └── ExtractionCrashed          422  extraction_crashed
├── FetchFailed                    502  fetch_failed
│   ├── FetchTimeout               504  fetch_timeout
│   └── FetchRefused               502  fetch_failed
├── EngineError                    503  engine_error
│   ├── ConstraintFailed           503  (the code is that of the error it stands for)
│   ├── EngineUnavailable          503  engine_unavailable
│   │   └── ModelNotStarted        503  (the code says why: out_of_memory, model_gated, ...)
│   ├── EngineDied                 503  engine_died
│   ├── EngineOverloaded           503  engine_overloaded
│   └── UpstreamError              502  upstream_error
│       └── UpstreamRefused        503  upstream_refused
├── StoreUnavailable               503  store_unavailable
│   └── StorageFull                507  storage_full
├── Interrupted                    503  interrupted
├── TaskEnded                      503  task_ended
├── AttemptsExhausted              500  attempts_exhausted
├── StoredRequestUnreadable        500  stored_request_unreadable
└── ConfigurationError             (never over HTTP: the command prints it and exits with 2)
"""

from __future__ import annotations

import errno
import logging
import sqlite3
import uuid
from typing import Any, ClassVar

from structlog.contextvars import get_contextvars

log = logging.getLogger(__name__)

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_POSTGRESQL_DISK_FULL = "53100"


class ReviewerError(Exception):
    """Base class: a message for the client, and an HTTP status, type and code as OpenAI uses
    them.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "api_error"
    code: str = "internal_error"
    retry_after: int | None = None
    """Seconds after which the same request may succeed (the ``Retry-After`` header)."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        # All arguments are passed to Exception.__init__, so that pickling keeps them.
        super().__init__(message, param, code)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message

    @property
    def headers(self) -> dict[str, str]:
        """The error's headers for the answer."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}

    def envelope(self) -> dict[str, Any]:
        """The body of the answer: OpenAI's error object, and the request's id."""
        return {
            "error": {
                "message": self.message,
                "type": self.type,
                "param": self.param,
                "code": self.code,
                "request_id": get_contextvars().get("request_id"),
            }
        }


class InvalidRequest(ReviewerError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_value"


class ModelNotFound(InvalidRequest):
    status = 404
    code = "model_not_found"


class ChatNotServed(InvalidRequest):
    """The engine does not serve OpenAI's API; see ``app.engine.base.OpenAIServer``."""

    status = 404
    code = "chat_not_served"


class ReviewNotFound(InvalidRequest):
    """There is no review with this id, or it belongs to another tenant: the answer is the same."""

    status = 404
    code = "review_not_found"


class PaperNotStored(InvalidRequest):
    status = 404
    code = "paper_not_stored"


class PageNotFound(InvalidRequest):
    """The paper has no page of this number."""

    status = 404
    code = "page_not_found"


class PointNotFound(InvalidRequest):
    """The review has no point of this id."""

    status = 404
    code = "point_not_found"


class IdempotencyMismatch(InvalidRequest):
    """The key was used before for a different request."""

    status = 409
    code = "idempotency_key_mismatch"


class ReviewCancelled(InvalidRequest):
    status = 409
    code = "review_cancelled"


class ReviewFinished(InvalidRequest):
    """The review has ended and can't be cancelled."""

    status = 409
    code = "review_finished"


class ReviewNotCompleted(InvalidRequest):
    status = 409
    code = "review_not_completed"


class PointsChanged(InvalidRequest):
    """The points were edited since the version that the request names."""

    status = 409
    code = "points_changed"


class UrlNotAllowed(InvalidRequest):
    code = "url_not_allowed"


class BodyTooSlow(InvalidRequest):
    """The request's body arrives too slowly."""

    status = 408
    code = "body_too_slow"


class UploadTooLarge(InvalidRequest):
    status = 413
    code = "pdf_too_large"


class RequestTooLarge(InvalidRequest):
    """The request's JSON is larger than any valid request."""

    status = 413
    code = "request_too_large"


class UnsupportedMediaType(InvalidRequest):
    status = 415
    code = "unsupported_media_type"


class InvalidApiKey(InvalidRequest):
    """The key is missing, wrong or revoked; the answer does not say which."""

    status = 401
    code = "invalid_api_key"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class RateLimited(ReviewerError):
    """This key has exceeded its limit."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Overloaded(ReviewerError):
    """The service is at its limit of reviews."""

    status = 503
    type = "service_unavailable_error"
    code = "overloaded"
    retry_after = 10


class ShuttingDown(ReviewerError):
    status = 503
    type = "service_unavailable_error"
    code = "shutting_down"
    retry_after = 10


class PaperError(ReviewerError):
    """The document was received, but it can't be reviewed."""

    status = 422
    type = "invalid_request_error"
    code = "pdf_unreadable"


class PdfEmpty(PaperError):
    code = "pdf_empty"


class NotAPdf(PaperError):
    code = "not_a_pdf"


class PdfEncrypted(PaperError):
    code = "pdf_encrypted"


class PdfNoText(PaperError):
    code = "pdf_no_text"


class PdfTooManyPages(PaperError):
    code = "pdf_too_many_pages"


class PdfTooLong(PaperError):
    code = "pdf_too_long"


class LatexUnreadable(PaperError):
    code = "latex_unreadable"


class TextUnreadable(PaperError):
    code = "text_unreadable"


class ArchiveUnreadable(PaperError):
    """The archive is damaged, or contains no LaTeX paper."""

    code = "archive_unreadable"


class ArchiveUnsafe(ArchiveUnreadable):
    """The archive unpacks to too much data, or has paths outside itself."""

    code = "archive_unsafe"


class ExtractionTimeout(PaperError):
    code = "extraction_timeout"


class ExtractionCrashed(PaperError):
    code = "extraction_crashed"


class FetchFailed(ReviewerError):
    """The host of a URL did not answer with a paper."""

    status = 502
    code = "fetch_failed"


class FetchTimeout(FetchFailed):
    status = 504
    code = "fetch_timeout"


class FetchRefused(FetchFailed):
    """The host answered that it has no such paper, or does not give access to it."""


class EngineError(ReviewerError):
    """The model failed on this request."""

    status = 503
    type = "service_unavailable_error"
    code = "engine_error"


class ConstraintFailed(EngineError):
    """The engine can't apply the requested structure, or not to the end of the answer.

    The text until then is valid. ``refusal`` is the error for a client that needs the structure.
    """

    def __init__(self, refusal: ReviewerError) -> None:
        super().__init__(refusal.message, refusal.param, refusal.code)
        self.refusal = refusal


class EngineUnavailable(EngineError):
    """The model is starting or being restarted; it has not seen this request."""

    code = "engine_unavailable"
    retry_after = 15


class ModelNotStarted(EngineUnavailable):
    """The model did not start; the message gives the reason and a remedy.

    Only ``/readyz`` and the log show it. If ``passing``, the start is tried again; otherwise the
    process ends.
    """

    code = "model_not_started"

    def __init__(self, message: str, code: str, *, passing: bool) -> None:
        super().__init__(message, code=code)
        self.passing = passing


class EngineDied(EngineError):
    """The engine's process, or the connection to it, ended during this request."""

    code = "engine_died"
    retry_after = 15


class EngineOverloaded(EngineError):
    code = "engine_overloaded"
    retry_after = 10


class UpstreamError(EngineError):
    """The upstream server, or a proxy in front of it, answered with an error or an invalid
    answer.
    """

    status = 502
    code = "upstream_error"


class UpstreamRefused(UpstreamError):
    """It refuses the service's own key: that is for whoever runs the service to mend."""

    status = 503
    code = "upstream_refused"
    retry_after = 60


class StoreUnavailable(ReviewerError):
    """The database or the data folder can't be reached; the service keeps trying."""

    status = 503
    type = "service_unavailable_error"
    code = "store_unavailable"
    retry_after = 5


class StorageFull(StoreUnavailable):
    status = 507
    code = "storage_full"
    retry_after = 60


def is_full_disk(error: BaseException) -> bool:
    """Whether a write failed because of a full disk, a quota or a limit of file sizes.

    Recognises errors of files and of database drivers (``orig`` is SQLAlchemy's attribute).
    """
    error = getattr(error, "orig", None) or error
    return (
        (isinstance(error, OSError) and error.errno in _FULL_DISK)
        or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        or getattr(error, "sqlstate", None) == _POSTGRESQL_DISK_FULL
    )


class Interrupted(ReviewerError):
    """The process that made a review for a waiting client has ended."""

    status = 503
    type = "service_unavailable_error"
    code = "interrupted"
    retry_after = 1


class TaskEnded(ReviewerError):
    """A background task of the service has ended and is not restarted; only ``/livez`` shows it."""

    status = 503
    code = "task_ended"


class AttemptsExhausted(ReviewerError):
    """The process or the engine ended in each attempt at this review alone."""

    code = "attempts_exhausted"


class StoredRequestUnreadable(ReviewerError):
    """The stored request was written by another version, in a form that this one can't read."""

    code = "stored_request_unreadable"


class ConfigurationError(ReviewerError):
    """The settings are invalid, or something is not installed."""

    code = "configuration_error"


def unexpected(error: Exception) -> ReviewerError:
    """The error that a client gets for an unexpected exception: an id under which it is logged.

    The exception's text may contain a path, a key or a paper. So the log has only its type and
    where it was raised (see ``app.observability.logs``), and the client gets neither.
    """
    incident = f"err_{uuid.uuid4().hex[:12]}"
    log.error("%s: unexpected %s", incident, type(error).__name__, exc_info=error)
    return ReviewerError(f"An internal error occurred; it is logged as {incident}.")
