"""What models write, and what is read out of it."""

from __future__ import annotations

import random
import re
import time
import timeit
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from app.review.parse import ParsedReview, parse_review, without_thinking
from app.review.template import SectionSpec
from app.review.templates import published
from app.review.verdict import up_to_the_verdict
from tests.doubles import WHOLE_REVIEW

ACCEPT = "I recommend this paper for ACCEPTANCE."
REJECT = "I recommend this paper for REJECTION."
SECTIONS = published().sections
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
    repeated: int = 0


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
    assert parsed.repeated == case.repeated
    if case.verdict_from is None:
        assert parsed.verdict_at is None
    else:
        assert case.text[parsed.verdict_at :].startswith(case.verdict_from)


def test_the_table_is_large_and_partly_written_by_models() -> None:
    assert len(CASES) >= 75
    assert sum(case.origin == "model" for case in CASES) >= 15
    assert len({case.name for case in CASES}) == len(CASES)


# Hypothesis: texts put together from what reviews are made of.

STATES = {
    "accept": [
        ACCEPT,
        "**I recommend this paper for ACCEPTANCE**",
        "Despite its flaws, I recommend this paper for acceptance.",
    ],
    "reject": [
        REJECT,
        '"I recommend this paper for REJECTION"',
        "It is small. I recommend this paper for **rejection** in its current form.",
    ],
}
"""Verdict lines that count wherever they stand."""
STATES_AT_THE_END = {
    "accept": ["I lean towards acceptance.", "Decision: Accept", "This paper should be accepted."],
    "reject": ["I vote to reject.", "**Recommendation:** Weak reject", "I recommend rejection."],
}
STATES_NOTHING = [
    "I do not recommend this paper for ACCEPTANCE.",
    "I cannot recommend acceptance.",
    "I would not recommend rejecting it.",
    "If the authors fix X, I would recommend acceptance.",
    "If the authors fix X, I recommend this paper for ACCEPTANCE.",
    "I recommend this paper for ACCEPTANCE or REJECTION.",
    "I recommend this paper for ACCEPTANCE if X is fixed.",
    "It is unclear whether this paper should be rejected.",
    "The authors say that this paper should be accepted.",
    "Decision: accept/reject",
    "Recommendation: Borderline",
    "Accepted papers use rejection sampling.",
    "<think>I recommend this paper for ACCEPTANCE.</think>",
    "<think>\nDecision: Reject\n</think>",
    "<|channel>thought\nI recommend this paper for REJECTION.\n<channel|>",
    "## Summary\nIt counts.",
    "### 2. **Strengths**:\n- Cheap.\n  * Quick.",
    "**Weaknesses:** Small.",
    "## Final Recommendation",
    "# Questions\n1. Why?",
    "Größe ≠ Qualität – 评审 ✓",
    "```",
    "---",
]
LOOSE = [
    *(text for texts in (*STATES.values(), *STATES_AT_THE_END.values()) for text in texts),
    *STATES_NOTHING,
    *("<think>", "</think>", "<|channel>thought", "<channel|>", "not ", "if ", "I ", " or ", "\n"),
    *(
        "##",
        "**",
        "- ",
        ": ",
        "1. ",
        "Summary",
        "Verdict",
        "accept",
        "rejection",
        ". ",
        "?",
        "\r\n",
    ),
]


@given(st.lists(st.sampled_from(STATES_NOTHING), max_size=8))
def test_no_decision_where_none_is_stated(paragraphs: list[str]) -> None:
    parsed = parse_review("\n\n".join(paragraphs), SECTIONS)
    assert parsed.decisions == frozenset()
    assert parsed.verdict_at is None


@given(
    st.lists(st.sampled_from(STATES_NOTHING), max_size=6),
    st.lists(st.sampled_from([*STATES["accept"], *STATES["reject"]]), min_size=1, max_size=2),
    st.sampled_from([*STATES_AT_THE_END["accept"], *STATES_AT_THE_END["reject"], "The end."]),
    st.randoms(use_true_random=False),
)
def test_a_verdict_line_counts_among_anything_and_before_prose(
    others: list[str], lines: list[str], last: str, shuffler: random.Random
) -> None:
    paragraphs = [*others, *lines]
    shuffler.shuffle(paragraphs)
    parsed = parse_review("\n\n".join([*paragraphs, last]), SECTIONS)
    assert parsed.decisions == {
        decision for decision, stating in STATES.items() if set(lines).intersection(stating)
    }


@given(
    st.lists(st.sampled_from(STATES_NOTHING), max_size=6),
    st.sampled_from(["accept", "reject"]),
    st.integers(0, 2),
)
def test_prose_counts_at_the_end(others: list[str], decision: str, at: int) -> None:
    text = "\n\n".join([*others, STATES_AT_THE_END[decision][at]])
    assert parse_review(text, SECTIONS).decision == decision


@given(st.text() | st.lists(st.sampled_from(LOOSE) | st.text(max_size=3)).map("".join))
@example("I recommend this paper for ACCEPT")
@example("<think>I recommend this paper for ACCEPTANCE.")
def test_never_an_exception_nor_a_decision_that_is_not_there(text: str) -> None:
    parsed = parse_review(text, SECTIONS)
    for decision in parsed.decisions:
        assert any(_is_said(phrase, text) for phrase in _PHRASES[decision])
    if parsed.verdict_at is not None:
        assert _squeezed(text[parsed.verdict_at :]).startswith("i recommend this paper for")
        assert parsed.decisions
    if parsed.refused:
        assert not parsed.decisions


_PHRASES = {
    decision: [
        re.compile(
            r"(?:recommend|vote|lean|inclin|favou?r|advocate|opt|argue|decision|verdict|deserve|"
            rf"merit|warrant|should|must|ought)[^.?!]*{stem}"
        ),
        # Alone in its section.
        re.compile(rf"(?:^|\n)\W*(?:\w+ ){{0,3}}{stem}"),
    ]
    for decision, stem in (("accept", "accept"), ("reject", "reject"))
}


def _squeezed(text: str) -> str:
    return " ".join(re.sub(r"[*_`\"'“”‘’>\[]", " ", text).lower().split())


def _is_said(phrase: re.Pattern[str], text: str) -> bool:
    """Whether a text has the phrase outside of its thoughts, by other means than the parser's."""
    said = re.sub(r"(?is)(?:^|(?<=\n))[ \t]*<think>.*?(?:</think>|\Z)", "\n", text)
    return phrase.search(said.lower()) is not None


@given(st.lists(st.sampled_from(LOOSE) | st.text(max_size=3)).map("".join))
def test_a_thought_says_nothing(text: str) -> None:
    thought = re.sub(r"(?i)</?think>|<\|?channel\|?>", "", text)
    answer = "## Summary\nIt counts."
    bare = parse_review(answer, SECTIONS)
    for begin, end in (("<think>", "</think>"), ("<|channel>thought\n", "<channel|>")):
        assert parse_review(f"{begin}{thought}{end}{answer}", SECTIONS) == bare
        assert parse_review(f"{answer}\n{begin}{thought}", SECTIONS) == bare


@pytest.mark.parametrize(
    "unit",
    [
        *("#", " ", "\t", "*", "_", "- ", "**a ", "## x\n", "\n", "\r\n", "1. ", "S1: ", "```\n"),
        *("<think>", "\n<think>", "</think>\n", "<|channel>thought", "<think></think>"),
        *("I recommend this paper for ", f"{ACCEPT} ", f"{ACCEPT}\n", "I lean to ", "I ", "a. A"),
        *("Summary and ", "Summary of ", "## Summary\n", "**Summary:** ", "the ", "Decision: "),
    ],
)
@pytest.mark.parametrize("head", ["", "## Strengths\n", "## Final Recommendation\n"])
def test_a_model_that_repeats_itself_is_read_in_linear_time(head: str, unit: str) -> None:
    def seconds(length: int) -> float:
        text = f"{head}{unit * (length // len(unit))}x"
        # Of the processor: what else runs on it does not count.
        read = partial(parse_review, text, SECTIONS)
        return min(timeit.repeat(read, timer=time.process_time, number=1, repeat=5))

    # Four times the text: four times as long, and not sixteen times.
    assert seconds(40_000) < 10 * seconds(10_000) + 0.002


def test_a_whole_review() -> None:
    parsed = parse_review(WHOLE_REVIEW, SECTIONS)
    assert parsed == ParsedReview(
        prose={
            "summary": "It counts tokens.",
            "technical_soundness": "Sound.",
            "clarity": "Clear.",
            "significance": "Some.",
        },
        points={
            "strengths": ("It counts them once.", "It says so."),
            "weaknesses": ("It counts nothing else.",),
        },
        decisions=frozenset(["accept"]),
        verdict_at=WHOLE_REVIEW.index("I recommend"),
        refused=False,
    )


def test_the_deciding_word_is_what_comes_next() -> None:
    lead = "I recommend this paper for"
    whole = up_to_the_verdict(WHOLE_REVIEW, parse_review(WHOLE_REVIEW, SECTIONS).verdict_at)
    assert whole == WHOLE_REVIEW.removesuffix(" ACCEPTANCE.")
    for text in ("", "cut off in the mid", "## Summary\nx\n\n## Final Recommendation"):
        opened = up_to_the_verdict(text, parse_review(text, SECTIONS).verdict_at)
        assert opened.endswith(f"## Final Recommendation\n{lead}")
        assert opened.startswith(text)
        assert opened.count("## Final Recommendation") == 1


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>Accept it?</think>\n## Summary\nIt is.", "## Summary\nIt is."),
        ("Accept it?\n</think>\n## Summary\nIt is.", "## Summary\nIt is."),
        ("## Summary\nThe tag `<think>` is used.", "## Summary\nThe tag `<think>` is used."),
    ],
)
def test_a_text_without_its_thinking(text: str, left: str) -> None:
    assert without_thinking(text) == left
