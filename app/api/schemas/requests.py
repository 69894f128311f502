"""Parameters of requests."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from app.api.schemas.base import RequestBody


class PaperParameters(RequestBody):
    """How to read a paper."""

    blind: bool = True
    """Remove authors, venue, decision and acknowledgements."""


class PaperUrlRequest(PaperParameters):
    """A paper to be fetched by its URL."""

    url: str = Field(min_length=1, max_length=2_000)
    """An arXiv id, or an https URL on one of the service's allowed hosts."""


class ReviewParameters(PaperParameters):
    """How to review the paper; all parameters have defaults."""

    model: str | None = None
    """The name of the served model; a request for another model is refused."""
    mode: Literal["review", "verdict"] = "review"
    """`verdict` generates no review, only the verdict, from one token; useful for triage."""
    template: str = "default"
    """The prompt: `default` is the one that the published model was tuned on; `iclr`, `neurips`,
    `icml`, `acl` and templates of the operator ask for other sections."""
    format: Literal["structured", "free"] | None = None
    """`structured` makes the engine keep to the sections and the verdict line; `free` does not."""
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=2**31 - 1)
    """Number of likeliest tokens to sample from; 0 for all. By default the model's own value."""
    repetition_penalty: float | None = Field(None, gt=0, le=2)
    """Above 1 makes words less likely that the paper or the review already has. By default the
    model's own value. Not all upstreams know it."""
    max_tokens: int | None = Field(None, ge=1)
    """Most tokens of the review. The rest of the context is the prompt's budget."""
    seed: int | None = Field(None, ge=-(2**63), le=2**63 - 1)
    """The same seed gives the same review. Not supported on a CPU."""
    samples: int = Field(1, ge=1, le=16)
    """Number of reviews to generate from the prompt. The one whose probability is nearest to their
    mean is returned, and the verdict's probability is the mean."""
    check_injection: bool = False
    """If the paper has hidden text, also return the verdict that it would get with that text. Takes
    as much work as the review again."""
    stream: bool = False
    """Answer with server-sent events while the review is written."""
    background: bool = False
    """Answer 202 with the review's id immediately, and make the review in the background."""
    reuse: bool = True
    """Return your stored review if the same file or text was reviewed before by the same model
    with the same parameters. `false` always makes a new one."""


class ReviewUrlRequest(ReviewParameters, PaperUrlRequest):
    """A paper to be fetched by its URL and reviewed."""


class ReviewTextRequest(ReviewParameters):
    """A paper sent as text. Lines of the body that begin with `#` are headings."""

    model_config = ConfigDict(str_strip_whitespace=True)

    title: str = Field(min_length=1, max_length=2_000)
    abstract: str = Field("", max_length=20_000)
    body: str = Field(min_length=1, max_length=2_000_000)
