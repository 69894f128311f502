"""The server-sent events of a review."""

from __future__ import annotations

from typing import Literal

from app.api.schemas.base import Resource
from app.api.schemas.errors import ErrorDetail
from app.api.schemas.review import Integrity, PaperInfo, Review, Verdict


class _StreamEvent(Resource):
    sequence_number: int
    """The event's number in its stream, from 0; also the event's `id`."""


class ReviewCreated(_StreamEvent):
    type: Literal["review.created"] = "review.created"
    id: str
    created: int
    """Unix time in seconds."""
    model: str


class ReviewExtracted(_StreamEvent):
    """The paper has been read and the prompt is ready; the model begins."""

    type: Literal["review.extracted"] = "review.extracted"
    paper: PaperInfo
    integrity: Integrity


class ReviewDelta(_StreamEvent):
    """The next piece of a section's text."""

    type: Literal["review.delta"] = "review.delta"
    sample: int
    """The sample that the text belongs to, from 0."""
    section: str
    """The section's field; `preamble` before the first heading, `verdict` under the last one,
    `other` under a heading that is not a section's."""
    text: str


class ReviewSectionCompleted(_StreamEvent):
    type: Literal["review.section.completed"] = "review.section.completed"
    sample: int
    section: str
    value: str | list[str]
    """The section's text or points, as in the finished review."""


class ReviewVerdict(_StreamEvent):
    type: Literal["review.verdict"] = "review.verdict"
    verdict: Verdict


class ReviewCompleted(_StreamEvent):
    type: Literal["review.completed"] = "review.completed"
    review: Review


class StreamError(_StreamEvent):
    """The last event of a review that failed."""

    type: Literal["error"] = "error"
    error: ErrorDetail


StreamEvent = (
    ReviewCreated
    | ReviewExtracted
    | ReviewDelta
    | ReviewSectionCompleted
    | ReviewVerdict
    | ReviewCompleted
    | StreamError
)
