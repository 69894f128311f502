"""Rows as the API shows them."""

from __future__ import annotations

from app.api.schemas.errors import ErrorDetail
from app.api.schemas.review import Review, ReviewResource, ReviewSummary
from app.errors import ReviewNotCompleted
from app.jobs.stored_request import mode_of
from app.store.tables import ReviewRow


def resource_of(row: ReviewRow) -> ReviewResource:
    """A review that is not completed; a completed one's JSON stands in its row."""
    return ReviewResource.model_validate(
        {
            "id": row.id,
            "created": int(row.created),
            "status": row.status,
            "background": row.background,
            "model": row.model,
            "mode": mode_of(row.parameters),
            "template": row.template,
            "error": _error(row),
        }
    )


def json_of(row: ReviewRow, *, reused: bool = False) -> str:
    """The whole resource, in whatever state it is."""
    if row.review and reused:
        return review_of(row).model_copy(update={"reused": True}).model_dump_json()
    return row.review or resource_of(row).model_dump_json()


def summary_of(row: ReviewRow) -> ReviewSummary:
    return ReviewSummary.model_validate(
        {
            "id": row.id,
            "created": int(row.created),
            "status": row.status,
            "background": row.background,
            "model": row.model,
            "template": row.template,
            "title": row.title or None,
            "sha256": row.sha256,
            "decision": row.decision,
            "probability": row.probability,
            "error": _error(row),
        }
    )


def _error(row: ReviewRow) -> ErrorDetail | None:
    return ErrorDetail.model_validate(row.error, from_attributes=False) if row.error else None


def review_of(row: ReviewRow) -> Review:
    """
    Raises:
        ReviewNotCompleted: there is no review in it, or not yet.
    """
    if row.review is None:
        raise ReviewNotCompleted(f"The review is {row.status}.", param="review_id")
    return Review.model_validate_json(row.review)
