"""A review in the API."""

from __future__ import annotations

from typing import Literal

from app.api.schemas.base import Resource
from app.api.schemas.errors import ErrorDetail
from app.api.schemas.paper import PaperIntegrity
from app.paper.model import BBox, SectionKind


class SectionInfo(Resource):
    heading: str
    level: int
    """1 for a section, 2 for a subsection, 4 for a heading at the start of a paragraph."""
    page: int
    """Page on which it begins, from 1; 0 for a paper without pages."""
    kind: SectionKind
    tokens: int
    included: bool
    """Whether any of it is in the prompt."""


class PaperInfo(Resource):
    title: str
    abstract: str
    pages: int
    sha256: str
    """Of the file; empty for a paper that was sent as text."""
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
    """Passages of the paper about this point, the best first."""
    unsupported: list[str] = []
    """Tables, figures, numbers, names and quotes in the point that are not found in the paper."""


class ReviewSections(Resource):
    """Fields are empty if the template has no such section, or the model left it out."""

    summary: str = ""
    strengths: list[Point] = []
    weaknesses: list[Point] = []
    technical_soundness: str = ""
    clarity: str = ""
    significance: str = ""
    other: dict[str, str | list[str]] = {}
    """The template's other sections, by field: texts, or lists of points."""


class Mass(Resource):
    """The probability of each label as the next token, among all tokens."""

    accept: float
    reject: float


class Verdict(Resource):
    decision: Literal["accept", "reject", "undecided"] | None
    """`undecided` if the probability lies in the operator's abstain band."""
    probability: float | None
    """Probability of acceptance: the samples' mean, mapped by the calibration if there is one. Null
    if the engine returns no probabilities."""
    mass: Mass | None
    """If the sum of both is small, the model would rather have written something else."""
    calibrated: bool = False
    calibration: str | None = None
    """Name of the calibration that was applied."""
    source: Literal["review_line", "probe"] | None
    """`review_line`: the review states the decision. `probe`: it does not, or contradicts itself,
    or no review was generated; the decision is the likelier label."""
    samples: list[float] = []
    """Each sample's probability of acceptance among the two labels, not calibrated."""
    mean: float | None = None
    spread: float | None = None
    """Standard deviation of the samples; null for fewer than two."""


class Truncation(Resource):
    """A section that is not in the prompt, or only in part."""

    heading: str
    page: int
    tokens: int
    kept_tokens: int


class Integrity(PaperIntegrity):
    truncated: list[Truncation]
    verdict_with_hidden_text: Verdict | None = None
    """The verdict on the paper with its hidden text, if `check_injection` is set and text is
    hidden."""
    cut_sections: list[str] = []
    """Fields of the review's sections that ran out of tokens. They end with their last whole
    sentence or point; `text` contains everything. Known once the review is written."""
    repeated_points: int = 0
    """Number of points that were left out because they repeat an earlier point word for word.
    Known once the review is written."""


class TokenUsage(Resource):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class Timings(Resource):
    extract_s: float
    queue_s: float
    """From sending the prompt to the first token: waiting, and processing the prompt."""
    generate_s: float


Status = Literal["queued", "in_progress", "completed", "failed", "cancelled"]


class ReviewResource(Resource):
    """A review in any state. Fields that are not known (yet) are null."""

    id: str
    object: Literal["review"] = "review"
    created: int
    """Unix time in seconds."""
    status: Status
    background: bool = False
    """Whether it is made in the background."""
    reused: bool = False
    """Whether this is a stored review of an earlier request."""
    model: str
    mode: Literal["review", "verdict"]
    template: str
    error: ErrorDetail | None = None
    """The reason, if the status is `failed`."""
    ahead: int | None = None
    """Number of reviews that are to be started before this one, if it is queued."""
    notice: str | None = None
    """A warning for readers of this review, for instance that a trial model wrote it."""
    paper: PaperInfo | None = None
    review: ReviewSections | None = None
    """Null in mode `verdict`."""
    verdict: Verdict | None = None
    integrity: Integrity | None = None
    usage: TokenUsage | None = None
    timings: Timings | None = None
    finish_reason: str | None = None
    """`stop`; `length` if the review was cut off by `max_tokens`; `error` if the engine could
    neither keep it to its format nor continue without one."""
    text: str | None = None
    """The model's whole Markdown."""
    constrained: bool | None = None
    """Whether every sample keeps to the requested format to its end: the template's headings and
    verdict line, or the JSON schema of a chat. `false` if the engine failed to apply the format:
    the text was finished without it, and sections may be missing. Null for the format `free`."""


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
    """A review in a list."""

    id: str
    object: Literal["review.summary"] = "review.summary"
    created: int
    """Unix time in seconds."""
    status: Status
    background: bool
    model: str
    template: str
    title: str | None
    """The paper's title; null until it has been reviewed."""
    name: str
    """The file's name, or the address that the paper was fetched from; empty for a text."""
    sha256: str
    """Of the paper's file; empty for a paper sent as text."""
    decision: str | None
    probability: float | None
    error: ErrorDetail | None


class ReviewList(Resource):
    object: Literal["list"] = "list"
    data: list[ReviewSummary]
    has_more: bool
    next: str | None
    """The `cursor` of the next page; null on the last page."""


class ReviewDeleted(Resource):
    id: str
    object: Literal["review.deleted"] = "review.deleted"
    deleted: Literal[True] = True
