"""Turns database rows into the API's resources."""

from __future__ import annotations

from app.api.schemas.errors import ErrorDetail
from app.api.schemas.review import Review, ReviewResource, ReviewSummary
from app.errors import ReviewNotCompleted
from app.jobs.stored_request import mode_of
from app.store.tables import ReviewRow


def resource_of(row: ReviewRow, *, ahead: int | None = None) -> ReviewResource:
    """The resource of a review that is not completed. A completed one's JSON is in its row."""
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
            "ahead": ahead,
        }
    )


def json_of(row: ReviewRow, *, reused: bool = False, ahead: int | None = None) -> str:
    """The JSON of a review's resource, in any state."""
    if row.review and reused:
        return review_of(row).model_copy(update={"reused": True}).model_dump_json()
    return row.review or resource_of(row, ahead=ahead).model_dump_json()


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
            "name": row.name,
            "sha256": row.sha256,
            "decision": row.decision,
            "probability": row.probability,
            "error": _error(row),
        }
    )


def _error(row: ReviewRow) -> ErrorDetail | None:
    return ErrorDetail.model_validate(row.error, from_attributes=False) if row.error else None


def review_of(row: ReviewRow) -> Review:
    """The resource of a completed review.

    Raises:
        ReviewNotCompleted: it is not completed.
    """
    if row.review is None:
        raise ReviewNotCompleted(f"The review is {row.status}.", param="review_id")
    return Review.model_validate_json(row.review)
