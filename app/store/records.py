"""Values that the store accepts and returns, and the cursors of its lists."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.errors import InvalidRequest
from app.store.states import Status
from app.store.tables import ReviewRow

SourceKind = Literal["file", "text", "link"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReview:
    """A review to be stored; see :class:`app.store.tables.ReviewRow`.

    ``data`` is the source's content, which is stored under its hash ``blob_sha256``.
    """

    id: str
    tenant: str
    created: float
    background: bool
    source: SourceKind
    name: str
    blob_sha256: str | None
    data: bytes | None = field(repr=False)
    sha256: str
    parameters: dict[str, Any]
    answer_format: dict[str, Any] | None
    reuse_key: str | None
    reuse: bool
    """Whether a stored review with the same ``reuse_key`` may be returned instead."""
    model: str
    template: str
    key: str | None
    """The client's idempotency key, if it sent one."""
    fingerprint: str


@dataclass(frozen=True, slots=True)
class ExistingReview:
    """A stored review that answers the request, so that no new one is stored."""

    id: str
    by_key: bool
    """Whether it was found by the client's idempotency key, and not by its ``reuse_key``."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to write a review's result; void once another process has claimed the review."""

    id: str
    owner: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A completed review."""

    review: str = field(repr=False)
    """The whole resource as JSON."""
    events: bytes = field(repr=False)
    title: str = field(repr=False)
    sha256: str
    decision: str | None
    probability: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Filters of a list. Times are Unix times in seconds; both ends are exclusive."""

    status: Status | None = None
    decision: str | None = None
    """``none`` selects completed reviews without a decision."""
    created_after: float | None = None
    created_before: float | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    rows: Sequence[ReviewRow]
    next: str | None
    """The cursor of the next page; None on the last page."""


def cursor_after(row: ReviewRow) -> str:
    """A cursor for the position after ``row``; it stays valid if the row is deleted."""
    return base64.urlsafe_b64encode(f"{row.created!r} {row.id}".encode()).decode().rstrip("=")


def position_of(cursor: str) -> tuple[float, str]:
    """The time and id in a cursor.

    Raises:
        InvalidRequest: it is not a valid cursor.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created, _, review_id = base64.urlsafe_b64decode(padded).decode().partition(" ")
        return float(created), review_id.replace("\0", "")
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(
            "The cursor is not valid: use `next` of the previous page, unchanged.", "cursor"
        ) from error
