"""What models write, and what is read out of it."""

from __future__ import annotations

import re
import timeit
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.review.parse import ParsedReview, parse_review
from app.review.template import SECTIONS, SectionSpec
from app.review.verdict import up_to_the_verdict
from tests.doubles import WHOLE_REVIEW

ACCEPT = "I recommend this paper for ACCEPTANCE."
REJECT = "I recommend this paper for REJECTION."
TEMPLATES = {
    "default": SECTIONS,
    "acl": (
        SectionSpec("paper_summary", "Paper Summary", 0.2),
        SectionSpec("summary_of_strengths", "Summary of Strengths", 0.2, bullets=True),
        SectionSpec("summary_of_weaknesses", "Summary of Weaknesses", 0.3, bullets=True),
        SectionSpec("comments", "Comments, Suggestions and Typos", 0.2, bullets=True),
        SectionSpec("soundness", "Soundness", 0.1),
    ),
    "neurips": (
        SectionSpec("summary", "Summary", 0.2),
        SectionSpec("strengths_and_weaknesses", "Strengths and Weaknesses", 0.4),
        SectionSpec("questions", "Questions", 0.2, bullets=True),
        SectionSpec("limitations", "Limitations", 0.2),
    ),
}


@dataclass(frozen=True)
class Case:
    """A text, written by hand or by a model, and all that is to be read out of it.

    ``verdict_from`` is how the text goes on from ``verdict_at``.
    """

    name: str
    text: str
    origin: Literal["hand", "model"] = "hand"
    about: str = ""
    sections: str = "default"
    prose: dict[str, str] = field(default_factory=dict)
    points: dict[str, tuple[str, ...]] = field(default_factory=dict)
    decision: Literal["accept", "reject"] | None = None
    contradicts: bool = False
    verdict_from: str | None = None
    refused: bool = False


def _cases() -> list[Case]:
    adapter = TypeAdapter(list[Case], config={"extra": "forbid"})
    files = sorted((Path(__file__).parent / "parse_cases").glob("*.yaml"))
    return [
        case
        for file in files
        for case in adapter.validate_python(yaml.safe_load(file.read_text(encoding="utf-8")))
    ]


CASES = _cases()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_the_table(case: Case) -> None:
    parsed = parse_review(case.text, TEMPLATES[case.sections])
    assert parsed.prose == case.prose
    assert parsed.points == case.points
    assert parsed.decision == case.decision
    assert (len(parsed.decisions) == 2) == case.contradicts
    assert parsed.refused == case.refused
    if case.verdict_from is None:
        assert parsed.verdict_at is None
    else:
        assert case.text[parsed.verdict_at :].startswith(case.verdict_from)


def test_the_table_is_large_and_partly_written_by_models() -> None:
    assert len(CASES) >= 75
    assert sum(case.origin == "model" for case in CASES) >= 15
    assert len({case.name for case in CASES}) == len(CASES)
