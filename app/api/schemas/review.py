"""A review as the API shows it."""

from __future__ import annotations

from typing import Literal

from app.api.schemas.base import Resource
from app.api.schemas.errors import ErrorDetail
from app.api.schemas.paper import PaperIntegrity
from app.paper.model import BBox, SectionKind


class SectionInfo(Resource):
    heading: str
    level: int
    """1 for a section, 2 for its subsections, 4 for a bold beginning of a paragraph."""
    page: int
    """Where it begins, from 1; 0 for a paper that has no pages."""
    kind: SectionKind
    tokens: int
    included: bool
    """Whether the model saw any of it."""


class PaperInfo(Resource):
    title: str
    abstract: str
    pages: int
    sha256: str
    """Of the PDF; empty for a paper that was sent as text."""
    sections: list[SectionInfo]


class Evidence(Resource):
    page: int
    quote: str
    bbox: BBox
    score: float


class Point(Resource):
    """One strength or weakness."""

    text: str
    evidence: list[Evidence] = []
    """Passages of the paper that it speaks of, the best first."""
    unsupported: list[str] = []
    """What it names that is not found in the paper: tables, figures, numbers, names, quotes."""


class ReviewSections(Resource):
    """Empty where the review's template has no such section, or the model left it out."""

    summary: str = ""
    strengths: list[Point] = []
    weaknesses: list[Point] = []
    technical_soundness: str = ""
    clarity: str = ""
    significance: str = ""
    other: dict[str, str | list[str]] = {}
    """Sections of the template beyond these, by their fields: texts, and lists of points."""


class Mass(Resource):
    """How much of the next token's whole probability each label has."""

    accept: float
    reject: float


class Verdict(Resource):
    decision: Literal["accept", "reject", "undecided"] | None
    """`undecided` where the probability lies in the operator's abstain band."""
    probability: float | None
    """Of acceptance: the samples' mean, mapped by the calibration where there is one. None where
    the engine can't tell."""
    mass: Mass | None
    """A small sum of the two means that the model wanted to write something else."""
    calibrated: bool = False
    calibration: str | None = None
    """Name of the calibration that mapped the probability."""
    source: Literal["review_line", "probe"] | None
    """`review_line`: the decision stands in the review. `probe`: the review has no verdict line, or
    two that disagree, or none was written, and the decision is the likelier label."""
    samples: list[float] = []
    """Each sample's probability of acceptance among the two labels, as the model has it."""
    mean: float | None = None
    spread: float | None = None
    """Standard deviation of the samples; null for fewer than two."""


class Truncation(Resource):
    """A section of which the model saw only the beginning, or nothing."""

    heading: str
    page: int
    tokens: int
    kept_tokens: int


class Integrity(PaperIntegrity):
    truncated: list[Truncation]
    verdict_with_hidden_text: Verdict | None = None
    """The verdict had the hidden text been read along: where `check_injection` asked for it, and
    text is hidden."""
    cut_sections: list[str] = []
    """Fields of the review's sections that ran out of tokens. They end with their last whole
    sentence or point; `text` has all that was written."""
    repeated_points: int = 0
    """How many points are left out because they stand, word for word, earlier in the review: a
    weakness that was a strength, for instance. Known once the review is written, as is
    `cut_sections`."""


class TokenUsage(Resource):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class Timings(Resource):
    extract_s: float
    queue_s: float
    """From the prompt's sending to its first token's arrival: waiting and reading."""
    generate_s: float


Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]


class ReviewResource(Resource):
    """A review in any of its states. What is not known yet, or never will be, is null."""

    id: str
    object: Literal["review"] = "review"
    created: int
    """Unix time in seconds."""
    status: Status
    background: bool = False
    """Whether it is made without a client that waits."""
    reused: bool = False
    """Whether the request got a review that was stored already."""
    model: str
    mode: Literal["review", "verdict"]
    template: str
    error: ErrorDetail | None = None
    """Why there is no review: of a `failed` one."""
    notice: str | None = None
    """What a reader of this review must know: that a trial model wrote it, for instance."""
    paper: PaperInfo | None = None
    review: ReviewSections | None = None
    """Null in mode `verdict`."""
    verdict: Verdict | None = None
    integrity: Integrity | None = None
    usage: TokenUsage | None = None
    timings: Timings | None = None
    finish_reason: str | None = None
    """`stop`, or `length` where the review was cut off by `max_tokens`; `error` where the engine
    could hold it to its format no further, and not go on without either."""
    text: str | None = None
    """The model's markdown, whole."""
    constrained: bool | None = None
    """Whether the engine held the text, and each further sample's, to its format to the end: the
    template's headings and verdict line, or the JSON schema of a chat. `false`: it was asked for,
    but the engine could not, and the text is finished without; it may lack sections. Null where
    the format is `free`."""


class Review(ReviewResource):
    """A completed review."""

    status: Literal["completed"] = "completed"
    notice: str | None
    paper: PaperInfo
    review: ReviewSections | None
    verdict: Verdict
    integrity: Integrity
    usage: TokenUsage
    timings: Timings
    finish_reason: str
    text: str


class ReviewSummary(Resource):
    """A review as it stands in a list."""

    id: str
    object: Literal["review.summary"] = "review.summary"
    created: int
    """Unix time in seconds."""
    status: Status
    background: bool
    model: str
    template: str
    title: str | None
    """Of the paper; null until it has been reviewed."""
    sha256: str
    """Of the paper's file; empty for a text."""
    decision: str | None
    probability: float | None
    error: ErrorDetail | None


class ReviewList(Resource):
    object: Literal["list"] = "list"
    data: list[ReviewSummary]
    has_more: bool
    next: str | None
    """The `cursor` of the next page; null on the last one."""


class ReviewDeleted(Resource):
    id: str
    object: Literal["review.deleted"] = "review.deleted"
    deleted: Literal[True] = True
