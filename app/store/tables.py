"""The database's tables. ``migrations/`` creates them; a test compares the two."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Double, ForeignKey, Index, LargeBinary, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {float: Double, str: Text, dict[str, Any]: JSON}  # noqa: RUF012


class ReviewRow(Base):
    """A review, and the job that makes it."""

    __tablename__ = "reviews"
    __table_args__ = (
        Index(None, "tenant", "created", "id"),
        Index(None, "status", "suspect", "created"),
        Index(None, "tenant", "reuse_key"),
        Index(None, "tenant", "sha256"),
        Index(None, "blob_sha256"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    """The name of the client's API key; empty if the service has no keys."""
    created: Mapped[float]
    """Unix time in seconds, by the clock of the process that accepted it."""
    status: Mapped[str]
    """See :mod:`app.store.states`."""
    background: Mapped[bool]

    owner: Mapped[str | None]
    """The id of the process that has claimed it."""
    lease_until: Mapped[float | None]
    """Unix time in seconds, by the database's clock."""
    attempt: Mapped[int] = mapped_column(default=0)
    """Number of attempts so far. Only the owner of the latest attempt may write the result."""
    failed_attempts: Mapped[int] = mapped_column(default=0)
    """Failed attempts that this review may have caused; see ``app.failures``."""
    suspect: Mapped[bool] = mapped_column(default=False)
    """Whether a process or an engine died during an attempt at it: it is tried again alone."""
    not_before: Mapped[float | None]
    """Unix time in seconds, by the database's clock, before which it may not be claimed."""

    source: Mapped[str]
    """``file``, ``text`` or ``link``."""
    name: Mapped[str]
    """The file's name, or the link."""
    blob_sha256: Mapped[str | None]
    """The hash of the source's content in the folder of papers; None if it is not stored."""
    parameters: Mapped[dict[str, Any]]
    """See :mod:`app.jobs.stored_request`."""
    answer_format: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    reuse_key: Mapped[str | None]
    """Equal for requests that would get the same review."""

    model: Mapped[str]
    template: Mapped[str]
    sha256: Mapped[str]
    """Of the paper's file; empty until it is known, and for a text."""
    title: Mapped[str]
    decision: Mapped[str | None]
    probability: Mapped[float | None]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """``status``, ``message``, ``type``, ``param`` and ``code`` of the error that ended it."""

    # Last in the row and loaded on demand, as SQLite stores long values on separate pages.
    review: Mapped[str | None] = mapped_column(deferred=True, deferred_raiseload=True)
    """The whole resource as JSON."""
    events: Mapped[bytes | None] = mapped_column(
        LargeBinary, deferred=True, deferred_raiseload=True
    )
    """The encoded events; see :mod:`app.jobs.events`."""


class IdempotencyKey(Base):
    """A client's idempotency key, and the review that it refers to."""

    __tablename__ = "idempotency_keys"

    tenant: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    """A hash of the request."""
    review_id: Mapped[str] = mapped_column(ForeignKey(ReviewRow.id, ondelete="CASCADE"), index=True)


class PointsRow(Base):
    """What people did to a review's points. There is no row until they do."""

    __tablename__ = "review_points"

    review_id: Mapped[str] = mapped_column(
        ForeignKey(ReviewRow.id, ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int]
    """Rises with each change."""
    edits: Mapped[dict[str, Any]]
    """See :class:`app.jobs.points.Edits`."""
    points: Mapped[int]
    """Number of the model's points, and of these:"""
    edited: Mapped[int]
    useful: Mapped[int]
    wrong: Mapped[int]
    trivial: Mapped[int]
    not_in_paper: Mapped[int]
    added: Mapped[int]
    """Number of points that people added."""
