"""What a streamed review sends."""

from __future__ import annotations

from typing import Literal

from app.api.schemas.base import Resource
from app.api.schemas.errors import ErrorDetail
from app.api.schemas.review import Integrity, PaperInfo, Review, Verdict


class _StreamEvent(Resource):
    sequence_number: int
    """Counts the events of a stream, from 0; also the event's `id`."""


class ReviewCreated(_StreamEvent):
    type: Literal["review.created"] = "review.created"
    id: str
    created: int
    """Unix time in seconds."""
    model: str


class ReviewExtracted(_StreamEvent):
    """The paper is read and packed into the prompt; the model begins."""

    type: Literal["review.extracted"] = "review.extracted"
    paper: PaperInfo
    integrity: Integrity


class ReviewDelta(_StreamEvent):
    """The next piece of a section's text, as the model writes it."""

    type: Literal["review.delta"] = "review.delta"
    sample: int
    """Which of the samples writes, from 0."""
    section: str
    """The section's field; `preamble` before the first heading, `verdict` below the last one,
    `other` below one that is of no section."""
    text: str


class ReviewSectionCompleted(_StreamEvent):
    type: Literal["review.section.completed"] = "review.section.completed"
    sample: int
    section: str
    value: str | list[str]
    """Its text, or its points, as the finished review has them."""


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
