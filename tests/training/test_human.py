"""Human reviews as targets: what the rules keep, move and leave out."""

from __future__ import annotations

from typing import Any

import pytest

from app.review.parse import parse_review
from app.review.templates import published
from training.human import Unusable, target_of
from training.rows import HumanReview, PaperRow

PAPER_TEXT = "As Figure 2 shows, it is fast. Section 3.1 proves Theorem 1, see Table 1."
REVIEW = """SUMMARY:
The paper counts tokens once. Line 12 says so. It is fast.

STRENGTHS AND WEAKNESSES:
{strengths}
- The problem is old and hard.
- The paper is well written and easy to follow.
- Experiments on five datasets, as in Figure 2, support it.

{weaknesses}
- One baseline is missing.
- The notation in the method is confusing
- The loss is never derived.

QUESTIONS:
{question}

LIMITATIONS:
Yes."""


def paper(**more: Any) -> PaperRow:
    row: dict[str, Any] = {
        "id": "jsonl/a",
        "source": "jsonl",
        "venue": "NeurIPS 2025",
        "split": "train",
        "title": "On tokens",
        "abstract": "We count.",
        "sections": (),
        "decision": "accept",
        "decision_source": "made up",
        "ratings": (5.0,),
        "rating_scale": (1, 6),
    }
    return PaperRow(**(row | more))


def text(
    strengths: str = "Strengths:", weaknesses: str = "Weaknesses:", question: str = "Why?"
) -> str:
    return REVIEW.format(strengths=strengths, weaknesses=weaknesses, question=question)


def target(review: str, *, rating: float | None = 5, **more: Any) -> str:
    return target_of(paper(**more), HumanReview(text=review, rating=rating), PAPER_TEXT, 10)


def unusable_reason(review: str, **more: Any) -> str:
    with pytest.raises(Unusable) as caught:
        target(review, **more)
    return caught.value.reason


def test_a_review_becomes_the_published_format() -> None:
    assert target(text()) == (
        "## Summary\nThe paper counts tokens once. It is fast.\n\n"
        "## Strengths\n- The problem is old and hard.\n\n"
        "## Weaknesses\n- The loss is never derived.\n\n"
        "## Technical Soundness\nExperiments on five datasets, as in Figure 2, support it. "
        "One baseline is missing.\n\n"
        "## Clarity and Writing\nThe paper is well written and easy to follow. "
        "The notation in the method is confusing.\n\n"
        "## Final Recommendation\nI recommend this paper for ACCEPTANCE."
    )


def test_the_services_parser_reads_it() -> None:
    parsed = parse_review(target(text()), published().sections)
    assert parsed.decision == "accept"
    assert parsed.points["strengths"] == ("The problem is old and hard.",)
    assert parsed.prose["clarity"].startswith("The paper is well written")


def test_a_section_that_the_review_does_not_support_is_left_out() -> None:
    assert "## Significance" not in target(text())


def test_what_the_review_says_under_an_aspects_heading_is_that_section() -> None:
    said = "\n\n## Clarity\nthe text is dense. Figure 9 is unreadable.\n\nQUESTIONS:"
    review = text().replace("\n\nQUESTIONS:", said)
    written = target(review)
    assert "## Clarity and Writing\nThe text is dense.\n\n" in written
    assert "- The paper is well written and easy to follow." in written


def test_the_verdict_is_the_papers_decision() -> None:
    rejected = target(text(), rating=2, decision="reject")
    assert rejected.endswith("I recommend this paper for REJECTION.")


@pytest.mark.parametrize(
    ("rating", "decision"), [(2, "accept"), (4, "reject"), (3.5, "accept"), (3.5, "reject")]
)
def test_a_rating_that_contradicts_the_decision_makes_no_target(
    rating: float, decision: str
) -> None:
    assert unusable_reason(text(), rating=rating, decision=decision) == "contradicts_decision"


@pytest.mark.parametrize(
    "heading",
    [
        "**Strengths**",
        "### Strength",
        "Strenghts:",
        "[Strengths]",
        "Pros：",
        "_Strengths:_",
        "Strong:",
    ],
)
def test_headings_are_known_in_their_many_looks(heading: str) -> None:
    assert target(text(strengths=heading)) == target(text())


@pytest.mark.parametrize("heading", ["**Weaknesses:**", "Weakness", "Cons:", "Weeknesses :"])
def test_so_are_those_of_weaknesses(heading: str) -> None:
    assert target(text(weaknesses=heading)) == target(text())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("I will raise my score after the rebuttal.", "mentions_outcome"),
        ("I lean towards acceptance.", "mentions_outcome"),
        ("This should be rejected.", "mentions_outcome"),
        ("It is above the acceptance threshold.", "mentions_outcome"),
    ],
)
def test_talk_of_the_process_makes_no_target(said: str, why: str) -> None:
    assert unusable_reason(text(question=said)) == why


@pytest.mark.parametrize(
    "said",
    [
        "Why is rejection sampling used?",
        "Is the F1 score a mean?",
        "What is the acceptance rate of drafts?",
    ],
)
def test_technical_words_are_no_talk_of_the_process(said: str) -> None:
    assert target(text(question=said)) == target(text())


@pytest.mark.parametrize(
    ("point", "kept"),
    [
        ("See line 120 for the mistake.", False),
        ("In L120 the sign is wrong.", False),
        ("Page 4 has an error.", False),
        ("Figure 7 does not show it.", False),
        ("Fig. 2 does not show it.", True),
        ("Tab. 1 lacks units.", True),
        ("Section 3.1 is short.", True),
        ("Sec. 5 is short.", False),
        ("Theorem 1 needs a bound.", True),
        ("Lemma 1 needs a bound.", False),
        ("[1] Somebody. Some paper.", False),
        ("See https://example.org for more.", False),
        ("GPT 4 is not tested.", True),
    ],
)
def test_points_about_what_the_prompt_does_not_have_are_left_out(point: str, kept: bool) -> None:
    review = text().replace("- The loss is never derived.", f"- The loss is odd.\n- {point}")
    assert (point in target(review)) is kept


@pytest.mark.parametrize(
    ("review", "why"),
    [
        ("It is a nice paper with many merits.", "no_headings"),
        (text().replace("Strengths:", ""), "no_headings"),
        (text().replace("SUMMARY:", "ABOUT:"), "no_headings"),
        (REVIEW.format(strengths="Strengths:", weaknesses="", question="Why?"), "no_headings"),
    ],
)
def test_a_review_without_the_headings_makes_no_target(review: str, why: str) -> None:
    assert unusable_reason(review) == why


def test_a_meta_review_and_a_review_without_rating_make_none() -> None:
    with pytest.raises(Unusable, match="meta_review"):
        target_of(paper(), HumanReview(text=text(), rating=5, meta=True), PAPER_TEXT, 10)
    assert unusable_reason(text(), rating=None) == "no_rating"
    assert unusable_reason(text(), decision=None) == "no_official_decision"


def test_a_short_review_makes_none() -> None:
    with pytest.raises(Unusable, match="too_short"):
        target_of(paper(), HumanReview(text=text(), rating=5), PAPER_TEXT, 200)


def test_when_all_points_cite_what_is_not_there_nothing_is_left() -> None:
    review = (
        "SUMMARY:\nIt counts.\n\nSTRENGTHS AND WEAKNESSES:\nStrengths:\n- Good in line 1.\n"
        "Weaknesses:\n- Bad in line 2.\n\nQUESTIONS:\nNo."
    )
    assert unusable_reason(review) == "nothing_left"
