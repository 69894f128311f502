"""A finished review as objects; ``app.resources`` makes the API's JSON from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.engine.base import ServedModel, Usage
from app.paper.model import Paper
from app.review.evidence import Support
from app.review.packing import Prompt
from app.review.samples import ChosenSample
from app.review.verdict import Verdict


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Seconds in each stage. ``queue_s`` is from sending the prompt to the first token."""

    extract_s: float
    queue_s: float
    generate_s: float


@dataclass(frozen=True, slots=True)
class ReviewReport:
    """A finished review.

    ``supports`` maps each point's text to its evidence; None if the search for evidence failed.
    ``with_hidden`` is the verdict on the paper with its hidden text put back; None if that was not
    requested, or nothing is hidden.
    """

    id: str
    created: int
    model: ServedModel
    mode: Literal["review", "verdict"]
    template: str
    paper: Paper
    prompt: Prompt
    chosen: ChosenSample
    supports: Mapping[str, Support] | None
    with_hidden: Verdict | None
    usage: Usage
    times: StageTimes

    @property
    def verdict(self) -> Verdict:
        return self.chosen.verdict

    @property
    def text(self) -> str:
        """The model's whole Markdown."""
        return self.chosen.sample.text

    @property
    def finish_reason(self) -> str:
        return self.chosen.sample.finish_reason or "stop"
