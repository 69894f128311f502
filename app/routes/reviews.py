"""``/v1/reviews``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from app.disconnect import cancel_on_disconnect
from app.routes.state import StateDep
from app.routes.submission import REVIEW_BODY, read_review_submission
from app.schemas import ErrorEnvelope, Review

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorEnvelope} for status in (400, 404, 413, 415, 422, 500, 502, 503, 504)
}


@router.post("", openapi_extra=REVIEW_BODY, responses=_ERRORS)
async def create_review(request: Request, state: StateDep) -> Review:
    """Review a paper. A client that hangs up ends the work."""
    source, parameters = await read_review_submission(request)
    review = await cancel_on_disconnect(request.receive, state.reviews.review(source, parameters))
    state.metrics.reviews.labels(decision=str(review.verdict.decision)).inc()
    if review.paper.sha256:
        state.metrics.extraction.observe(review.timings.extract_s)
    return review
