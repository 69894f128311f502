"""What the engine holds a constrained review to, as far as a reader of its text must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.engine.base import Tokenizer
from app.review.template import (
    ACCEPTANCE,
    REJECTION,
    VERDICT_HEADING,
    VERDICT_LEAD,
    SectionSpec,
)

_NEARLY = 0.95
"""Text may have been written in more tokens than it is counted in."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """``budgets`` has the most tokens of each section, by its field."""

    budgets: Mapping[str, int]
    tokenizer: Tokenizer = field(repr=False)

    def is_used_up(self, section: str, text: str, *, nearly: bool = False) -> bool:
        """Whether a section's text is as long as its budget, or ``nearly`` so."""
        budget = self.budgets.get(section)
        if budget is None:
            return False
        least = budget * _NEARLY if nearly else budget
        return len(self.tokenizer.encode(text)) >= least


def begins(sections: Sequence[SectionSpec]) -> str:
    """The line that every constrained review begins with."""
    return f"## {sections[0].heading}\n"


def is_kept(text: str, sections: Sequence[SectionSpec]) -> bool:
    """Whether a text has the whole format: each heading in its place, and the verdict's line."""
    lines = text.splitlines()
    headings = [line for line in lines if line.startswith("#")]
    expected = [f"## {heading}" for heading in (*(s.heading for s in sections), VERDICT_HEADING)]
    verdicts = [f"{VERDICT_LEAD} {label}." for label in (ACCEPTANCE, REJECTION)]
    return headings == expected and lines[0] == expected[0] and lines[-1] in verdicts
