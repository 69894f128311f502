"""What the API takes and gives. Pydantic models; they share the paper's vocabulary."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from app.paper.model import BBox, ParagraphKind, SectionKind


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class PaperParameters(_Request):
    """How to read a paper."""

    blind: bool = True
    """Drop authors, venue, status and thanks."""


class PaperUrlRequest(PaperParameters):
    """A paper to be fetched."""

    url: str = Field(min_length=1, max_length=2_000)
    """An arXiv id, or an https address on one of the hosts that the service fetches from."""


class ReviewParameters(PaperParameters):
    """How to write the review; everything has a default."""

    model: str | None = None
    """A name of the served model; only to make sure that it is the one you mean."""
    format: Literal["structured", "free"] | None = None
    """`structured` holds the model to the sections and the verdict line; `free` lets it write."""
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens of the review. What the context leaves is the prompt's budget."""
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1)
    """Same seed, same review. Not on the CPU engine."""


class ReviewUrlRequest(ReviewParameters, PaperUrlRequest):
    """A paper to be fetched and reviewed."""


class ReviewTextRequest(ReviewParameters):
    """A paper sent as text. Lines of the body that begin with `#` are headings."""

    model_config = ConfigDict(str_strip_whitespace=True)

    title: str = Field(min_length=1, max_length=2_000)
    abstract: str = Field("", max_length=20_000)
    body: str = Field(min_length=1, max_length=2_000_000)


class _Resource(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)


class SectionInfo(_Resource):
    heading: str
    level: int
    """1 for a section, 2 for its subsections, 4 for a bold beginning of a paragraph."""
    page: int
    """Where it begins, from 1; 0 for a paper that has no pages."""
    kind: SectionKind
    tokens: int
    included: bool
    """Whether the model saw any of it."""


class PaperInfo(_Resource):
    title: str
    abstract: str
    pages: int
    sha256: str
    """Of the PDF; empty for a paper that was sent as text."""
    sections: list[SectionInfo]


class Evidence(_Resource):
    page: int
    quote: str
    bbox: BBox
    score: float


class Point(_Resource):
    """One strength or weakness."""

    text: str
    evidence: list[Evidence] = []


class ReviewSections(_Resource):
    summary: str
    strengths: list[Point]
    weaknesses: list[Point]
    technical_soundness: str
    clarity: str
    significance: str


class Mass(_Resource):
    """How much of the next token's whole probability each label has."""

    accept: float
    reject: float


class Verdict(_Resource):
    decision: Literal["accept", "reject"] | None
    probability: float | None
    """Of acceptance, among the two labels; None where the engine can't tell."""
    mass: Mass | None
    """A small sum of the two means that the model wanted to write something else."""
    calibrated: bool = False
    source: Literal["review_line", "probe"] | None
    """`review_line`: the decision stands in the review. `probe`: the review has no verdict line, or
    two that disagree, and the decision is the likelier label."""
    samples: list[float] = []


class Finding(_Resource):
    """A piece of a page's text that is not what it seems."""

    page: int
    kind: str
    text: str
    bbox: BBox


class Truncation(_Resource):
    """A section of which the model saw only the beginning, or nothing."""

    heading: str
    page: int
    tokens: int
    kept_tokens: int


class PaperIntegrity(_Resource):
    hidden_text: list[Finding]
    """What a reader of the rendered page can't see. It is not part of the paper's text."""
    visible_instructions: list[Finding]
    """What speaks to a reviewing system, in plain sight. It stays part of the paper's text."""
    blinded: list[str]
    """Kinds of what was dropped because it tells who wrote the paper or what became of it."""
    dropped: dict[str, int]
    """Lines that are no text, by kind: running heads, page and line numbers, margin notes, ..."""
    repaired: bool
    """Whether the PDF was damaged: text may be missing."""
    ocr_pages: list[int]
    """Pages without text of their own, read by optical character recognition."""


class Integrity(PaperIntegrity):
    truncated: list[Truncation]


class TokenUsage(_Resource):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


class Timings(_Resource):
    extract_s: float
    queue_s: float
    """From the prompt's sending to its first token's arrival: waiting and reading."""
    generate_s: float


class Review(_Resource):
    id: str
    object: Literal["review"] = "review"
    created: int
    """Unix time in seconds."""
    status: Literal["completed"] = "completed"
    model: str
    notice: str | None
    """What a reader of this review must know: that a trial model wrote it, for instance."""
    paper: PaperInfo
    review: ReviewSections
    verdict: Verdict
    integrity: Integrity
    usage: TokenUsage
    timings: Timings
    finish_reason: str
    """`stop`, or `length` where the review was cut off by `max_tokens`."""
    text: str
    """The model's markdown, whole."""


class LineBox(_Resource):
    """Where the characters `start` to `end` of the section's text stand."""

    start: int
    end: int
    page: int
    bbox: BBox


class ParagraphInfo(_Resource):
    """The characters `start` to `end` of the section's text."""

    kind: ParagraphKind
    start: int
    end: int
    lines: list[LineBox]


class PaperSection(_Resource):
    heading: str
    level: int
    """1 for a section, 2 for its subsections, 4 for a bold beginning of a paragraph."""
    page: int
    """Where it begins, from 1; 0 for a paper that has no pages."""
    kind: SectionKind
    text: str
    tokens: int | None
    """Of heading and text, by the served model's tokenizer; null while no model is ready."""
    paragraphs: list[ParagraphInfo]


class PaperResource(_Resource):
    """A paper as it is read: what a review would be made of."""

    object: Literal["paper"] = "paper"
    title: str
    abstract: str
    sections: list[PaperSection]
    pages: int
    sha256: str
    integrity: PaperIntegrity


class ErrorDetail(_Resource):
    message: str
    type: str
    param: str | None
    code: str | int | None


class ErrorEnvelope(_Resource):
    """Every error, in OpenAI's form."""

    error: ErrorDetail


class VersionInfo(_Resource):
    version: str
    model: str | None
    """None while the model is loading."""
    engine: str | None


class Readiness(_Resource):
    status: Literal["ok"] = "ok"
