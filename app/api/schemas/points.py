"""The points of a review, and what people did to them, in the API."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from app.api.schemas.base import RequestBody, Resource
from app.api.schemas.review import Evidence
from app.paper.model import BBox

Reason = Literal["wrong", "trivial", "not_in_paper"]
LONGEST_TEXT = 20_000
LONGEST_QUOTE = 5_000
MOST_CHANGES = 200
"""Most edits, additions and removals of one request, each."""
MOST_OWN = 100
"""Most points that people add to one review."""


def _storable(text: str) -> str:
    """Refuse what no database stores: NUL, and halves of surrogate pairs."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("it contains characters that can't be stored")
    return text


Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_TEXT),
    AfterValidator(_storable),
]
Quote = Annotated[str, StringConstraints(max_length=LONGEST_QUOTE), AfterValidator(_storable)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class Passage(RequestBody):
    """A place in the paper, for a point of one's own."""

    page: int = Field(ge=0, le=100_000)
    """From 1; 0 in a paper without pages."""
    bbox: Annotated[BBox, Field(description="x0, y0, x1, y1 in PDF points.")]
    quote: Quote = ""

    @model_validator(mode="after")
    def _is_a_box(self) -> Passage:
        x0, y0, x1, y1 = self.bbox
        if not all(abs(side) < 1e6 for side in self.bbox):
            raise ValueError("bbox must be numbers on the page")
        if x0 > x1 or y0 > y1:
            raise ValueError("bbox must be x0, y0, x1, y1 with x0 <= x1 and y0 <= y1")
        return self


class PointEdit(RequestBody):
    """Changes to one point. What is left out stays as it is."""

    id: Id
    text: Text | None = None
    """Null restores what the model wrote."""
    dismissed: Reason | None = None
    """Null takes the point in again. A dismissed point is not useful."""
    useful: bool = False

    @model_validator(mode="after")
    def _not_both(self) -> PointEdit:
        if self.dismissed and self.useful:
            raise ValueError("a point can't be dismissed and useful")
        return self


class NewPoint(RequestBody):
    section: Id
    """The field of a list in the review: `strengths`, `weaknesses`, ..."""
    text: Text
    passage: Passage | None = None


class PointsPatch(RequestBody):
    version: int = Field(ge=0, le=2**31 - 2)
    """That of the points which the changes were made to."""
    edit: list[PointEdit] = Field([], max_length=MOST_CHANGES)
    add: list[NewPoint] = Field([], max_length=MOST_CHANGES)
    remove: list[Id] = Field([], max_length=MOST_CHANGES)
    """Points of one's own; the model's can be dismissed."""

    @model_validator(mode="after")
    def _changes_something(self) -> PointsPatch:
        if not (self.edit or self.add or self.remove):
            raise ValueError("there are no changes: edit, add and remove are empty")
        return self


class PointState(Resource):
    """A point, or a section that is one text, with what people did to it."""

    id: str
    """Stays the same: `weaknesses-2`, `summary`, `own-1`."""
    section: str
    """The section's field in the review."""
    kind: Literal["point", "section"]
    written: str | None
    """The model's text; null for a point of one's own."""
    text: str
    """The text now."""
    dismissed: Reason | None
    useful: bool
    evidence: list[Evidence]
    """The passages that the service found, or the passage of a point of one's own."""
    unsupported: list[str]


class ReviewPoints(Resource):
    object: Literal["review.points"] = "review.points"
    review_id: str
    version: int
    """Rises with each change; 0 if there was none."""
    points: list[PointState]


class Dismissals(Resource):
    wrong: int
    trivial: int
    not_in_paper: int


class PointStats(Resource):
    """The model's points in the reviews that somebody worked on: in which at least one point was
    edited, dismissed, marked as useful or added.
    """

    model: str
    reviews: int
    points: int
    kept: int
    """Points that are not dismissed."""
    share_kept: float | None
    """`kept` of `points`: a measure of the reviewer's precision. Null without points."""
    dismissed: Dismissals
    useful: int
    edited: int
    added: int
    """Points that people added."""


class ReviewStats(Resource):
    object: Literal["review.stats"] = "review.stats"
    statuses: dict[str, int]
    """Number of reviews by status."""
    decisions: dict[str, int]
    """Number of completed reviews by decision; `none` for those without one."""
    probabilities: list[int]
    """Number of completed reviews by probability of acceptance, in ten bins of equal width."""
    points: list[PointStats]
    """By model."""
