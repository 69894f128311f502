"""What a finished review consists of, before anything is made of it for a client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.engine.base import ServedModel, Usage
from app.paper.model import Paper
from app.review.drafting import Judged
from app.review.evidence import Support
from app.review.packing import Prompt
from app.review.verdict import Verdict


@dataclass(frozen=True, slots=True)
class StageTimes:
    """In seconds. ``queue_s`` is from the sending of the prompt to its first token."""

    extract_s: float
    queue_s: float
    generate_s: float


@dataclass(frozen=True, slots=True)
class ReviewReport:
    """All that is known of a review once it is made.

    ``supports`` has, for each point's text, what the paper holds of it; it is None where no
    evidence could be looked for. ``with_hidden`` is the verdict had the hidden text been read
    along; None where that was not asked for, or nothing is hidden.
    """

    id: str
    created: int
    model: ServedModel
    mode: Literal["review", "verdict"]
    template: str
    paper: Paper
    prompt: Prompt
    judged: Judged
    supports: Mapping[str, Support] | None
    with_hidden: Verdict | None
    usage: Usage
    times: StageTimes

    @property
    def verdict(self) -> Verdict:
        return self.judged.verdict

    @property
    def text(self) -> str:
        """The model's Markdown, whole."""
        return self.judged.draft.text

    @property
    def finish_reason(self) -> str:
        return self.judged.draft.finish_reason or "stop"
