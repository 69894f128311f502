"""What the API takes and gives. Pydantic models; they share the paper's vocabulary."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
    mode: Literal["review", "verdict"] = "review"
    """`verdict` writes no review: it asks for the verdict alone, by one token, for triage."""
    template: str = "default"
    """What the review is asked for with: `default` is the prompt that the published model was tuned
    on; `iclr`, `neurips`, `acl` and the operator's own ask for other sections."""
    format: Literal["structured", "free"] | None = None
    """`structured` holds the model to the sections and the verdict line; `free` lets it write."""
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens of the review. What the context leaves is the prompt's budget."""
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1)
    """Same seed, same review. Not on the CPU engine."""
    samples: int = Field(1, ge=1, le=16)
    """Reviews to draw from the one prompt. The one whose probability is nearest their mean is
    returned, and the verdict's probability is the mean."""
    check_injection: bool = False
    """Where text is hidden in the paper, also tell the verdict that the paper would get with it. As
    much work as the review again."""
    stream: bool = False
    """Answer with server-sent events while the review is written."""


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
    """Passages of the paper that it speaks of, the best first."""
    unsupported: list[str] = []
    """What it names that is not found in the paper: tables, figures, numbers, names, quotes."""


class ReviewSections(_Resource):
    """Empty where the review's template has no such section, or the model left it out."""

    summary: str = ""
    strengths: list[Point] = []
    weaknesses: list[Point] = []
    technical_soundness: str = ""
    clarity: str = ""
    significance: str = ""
    other: dict[str, str | list[str]] = {}
    """Sections of the template beyond these, by their fields: texts, and lists of points."""


class Mass(_Resource):
    """How much of the next token's whole probability each label has."""

    accept: float
    reject: float


class Verdict(_Resource):
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
    verdict_with_hidden_text: Verdict | None = None
    """The verdict had the hidden text been read along: where `check_injection` asked for it, and
    text is hidden."""


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
    mode: Literal["review", "verdict"]
    template: str
    paper: PaperInfo
    review: ReviewSections | None
    """Null in mode `verdict`."""
    verdict: Verdict
    integrity: Integrity
    usage: TokenUsage
    timings: Timings
    finish_reason: str
    """`stop`, or `length` where the review was cut off by `max_tokens`."""
    text: str
    """The model's markdown, whole."""


class ErrorDetail(_Resource):
    message: str
    type: str
    param: str | None
    code: str | int | None


class ErrorEnvelope(_Resource):
    """Every error, in OpenAI's form."""

    error: ErrorDetail


class _StreamEvent(_Resource):
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


class VersionInfo(_Resource):
    version: str
    model: str | None
    """None while the model is loading."""
    engine: str | None


class Readiness(_Resource):
    status: Literal["ok"] = "ok"


class ChatStreamOptions(_Request):
    include_usage: bool = False


class JsonSchemaFormat(BaseModel):
    """OpenAI's; what else it holds (`name`, `strict`, ...) changes nothing here."""

    json_schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(_Request):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None

    @model_validator(mode="after")
    def _schema_comes_with_its_type(self) -> ResponseFormat:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("json_schema belongs to type 'json_schema', and is needed there")
        return self


class PaperChatRequest(ReviewParameters):
    """A chat completion whose last message attaches a paper.

    Beside OpenAI's parameters it takes those of a review.
    """

    mode: Literal["review"] = "review"
    messages: list[dict[str, Any]]
    max_completion_tokens: int | None = Field(None, ge=1)
    response_format: ResponseFormat | None = None
    stream_options: ChatStreamOptions | None = None
    n: Literal[1] = 1
    """One answer; `samples` draws several reviews and answers the one nearest their mean."""
    user: Any = None
    """As the next three: taken, and of no effect."""
    metadata: Any = None
    store: Any = None
    service_tier: Any = None


class ChatMessage(_Resource):
    role: Literal["assistant"] = "assistant"
    content: str


class ChatChoice(_Resource):
    index: Literal[0] = 0
    message: ChatMessage
    finish_reason: str
    logprobs: None = None


class CachedTokens(_Resource):
    cached_tokens: int


class ChatUsage(_Resource):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens


class ChatCompletion(_Resource):
    """OpenAI's, with the whole review beside it."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage
    review: Review


class ChatDelta(_Resource):
    role: Literal["assistant"] | None = None
    content: str | None = None


class ChatChunkChoice(_Resource):
    index: Literal[0] = 0
    delta: ChatDelta
    finish_reason: str | None = None
    logprobs: None = None


class ChatChunk(_Resource):
    """OpenAI's. The chunk with the finish reason has the whole review beside it."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: ChatUsage | None = None
    review: Review | None = None
