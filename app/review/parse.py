"""A review's markdown -> its sections and its verdict; never an exception, never a guess."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from app.review.template import SECTIONS

Decision = Literal["accept", "reject"]

# No two unbounded repeats side by side: a model that writes spaces or asterisks without end would
# make such an expression take seconds.
_HEADING = re.compile(r"^[ \t]*#{1,6}(?P<name>[^\n]*)$", re.MULTILINE)
_BULLET = re.compile(r"^[ \t]*(?:[-*•+]|\d{1,2}[.)])[ \t]+", re.MULTILINE)
_VERDICT = re.compile(
    r"\*{0,3}I recommend this paper for\s+\*{0,3}(?P<label>ACCEPTANCE|REJECTION)\b",
    re.IGNORECASE,
)
_FIELDS = {spec.heading.lower(): spec for spec in SECTIONS}


@dataclass(frozen=True, slots=True)
class ParsedReview:
    """What the text holds. ``verdict_at`` is where its first verdict line begins, or None."""

    summary: str = ""
    strengths: tuple[str, ...] = ()
    weaknesses: tuple[str, ...] = ()
    technical_soundness: str = ""
    clarity: str = ""
    significance: str = ""
    decisions: frozenset[Decision] = field(default_factory=frozenset)
    verdict_at: int | None = None

    @property
    def decision(self) -> Decision | None:
        """The one decision of the text; None where it has none, or two that disagree."""
        return next(iter(self.decisions)) if len(self.decisions) == 1 else None


def parse_review(text: str) -> ParsedReview:
    """Read a review that a model wrote, whole or cut off."""
    verdicts = list(_VERDICT.finditer(text))
    found: dict[str, str | tuple[str, ...]] = {}
    for name, content in _parts(text):
        spec = _FIELDS.get(name)
        if spec is not None and spec.field not in found:
            found[spec.field] = _bullets(content) if spec.bullets else content
    return ParsedReview(
        **found,  # type: ignore[arg-type]  # the fields' types follow SECTIONS
        decisions=frozenset(_decision(match) for match in verdicts),
        verdict_at=verdicts[0].start() if verdicts else None,
    )


def _decision(match: re.Match[str]) -> Decision:
    return "accept" if match["label"].upper() == "ACCEPTANCE" else "reject"


def _parts(text: str) -> list[tuple[str, str]]:
    """Each heading in lower case, and what stands under it."""
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    return [
        (heading["name"].strip(" \t*:#").lower(), text[heading.end() : end].strip())
        for heading, end in zip(headings, ends, strict=False)
    ]


def _bullets(content: str) -> tuple[str, ...]:
    """The items of a list; a section without marks is one item."""
    items = _BULLET.split(content) if _BULLET.search(content) else [content]
    folded = (re.sub(r"\s+", " ", item).strip() for item in items)
    return tuple(item for item in folded if item)
