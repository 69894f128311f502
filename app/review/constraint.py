"""What the parser of a constrained review must know about the constraint."""

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
"""Part of a budget. The model may have used more tokens for a text than encoding it again gives."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """The format that the engine enforces. ``budgets`` maps a section's field to its most
    tokens.
    """

    budgets: Mapping[str, int]
    tokenizer: Tokenizer = field(repr=False)

    def is_used_up(self, section: str, text: str, *, nearly: bool = False) -> bool:
        """Whether a section's text fills its budget, or with ``nearly`` 95 % of it."""
        budget = self.budgets.get(section)
        if budget is None:
            return False
        least = budget * _NEARLY if nearly else budget
        return len(self.tokenizer.encode(text)) >= least


def first_line(sections: Sequence[SectionSpec]) -> str:
    """The line that every constrained review begins with."""
    return f"## {sections[0].heading}\n"


def follows_format(text: str, sections: Sequence[SectionSpec]) -> bool:
    """Whether a text has exactly the template's headings, in order, and ends in a verdict line."""
    lines = text.splitlines()
    headings = [line for line in lines if line.startswith("#")]
    expected = [f"## {heading}" for heading in (*(s.heading for s in sections), VERDICT_HEADING)]
    verdicts = [f"{VERDICT_LEAD} {label}." for label in (ACCEPTANCE, REJECTION)]
    return headings == expected and lines[0] == expected[0] and lines[-1] in verdicts
