"""What is asked for."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from app.api.schemas.base import RequestBody


class PaperParameters(RequestBody):
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
    top_k: int | None = Field(None, ge=0, le=2**31 - 1)
    """Sample among so many of the likeliest tokens; 0 for all. By default the model's own."""
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
    background: bool = False
    """Answer 202 with the review's id at once, and make it without a client that waits."""
    reuse: bool = True
    """Answer with a stored review of yours where the same file or text was reviewed by the same
    model with the same parameters. `false` makes a new one."""


class ReviewUrlRequest(ReviewParameters, PaperUrlRequest):
    """A paper to be fetched and reviewed."""


class ReviewTextRequest(ReviewParameters):
    """A paper sent as text. Lines of the body that begin with `#` are headings."""

    model_config = ConfigDict(str_strip_whitespace=True)

    title: str = Field(min_length=1, max_length=2_000)
    abstract: str = Field("", max_length=20_000)
    body: str = Field(min_length=1, max_length=2_000_000)
