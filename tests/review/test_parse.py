"""What models write, and what is read out of it."""

from __future__ import annotations

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.parse import parse_review
from app.review.verdict import up_to_the_verdict
from tests.doubles import WHOLE_REVIEW

ACCEPT = "I recommend this paper for ACCEPTANCE."
REJECT = "I recommend this paper for REJECTION."


def test_a_whole_review() -> None:
    parsed = parse_review(WHOLE_REVIEW)
    assert parsed.summary == "It counts tokens."
    assert parsed.strengths == ("It counts them once.", "It says so.")
    assert parsed.weaknesses == ("It counts nothing else.",)
    assert (parsed.technical_soundness, parsed.clarity, parsed.significance) == (
        "Sound.",
        "Clear.",
        "Some.",
    )
    assert parsed.decision == "accept"


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        (ACCEPT, "accept"),
        (REJECT, "reject"),
        (REJECT.rstrip("."), "reject"),
        (f"**{ACCEPT}**", "accept"),
        ("I recommend this paper for **REJECTION**.", "reject"),
        ("I recommend this paper\nfor acceptance", None),
        ("i recommend this paper for acceptance.", "accept"),
        (f"{ACCEPT}\n{ACCEPT}", "accept"),
        (f"{ACCEPT}\n{REJECT}", None),
        ("I recommend this paper for", None),
        ("I recommend this paper for ACCEPTANCES", None),
        ("I would accept this paper.", None),
        ("", None),
    ],
)
def test_the_decision_is_the_texts_own(text: str, decision: str | None) -> None:
    assert parse_review(text).decision == decision


@pytest.mark.parametrize(
    ("content", "bullets"),
    [
        ("- one\n- two", ("one", "two")),
        ("* one\n• two\n+ three", ("one", "two", "three")),
        ("1. one\n2) two", ("one", "two")),
        ("- one\n  goes on\n- two", ("one goes on", "two")),
        ("no list at all", ("no list at all",)),
        ("- \n-   \n- x", ("x",)),
        ("", ()),
    ],
)
def test_bullets(content: str, bullets: tuple[str, ...]) -> None:
    assert parse_review(f"## Strengths\n{content}\n\n## Weaknesses\n- w").strengths == bullets


@pytest.mark.parametrize(
    "heading", ["# Summary", "### Summary:", "## **Summary**", " ## summary ##"]
)
def test_headings_as_models_write_them(heading: str) -> None:
    assert parse_review(f"{heading}\ntext").summary == "text"


def test_a_review_that_was_cut_off_keeps_what_it_has() -> None:
    parsed = parse_review(WHOLE_REVIEW[:60])
    assert parsed.summary == "It counts tokens."
    assert parsed.significance == ""
    assert parsed.decision is None


@pytest.mark.parametrize(("head", "unit"), [("## ", " "), ("", "*"), ("", "- "), ("## ", "#")])
def test_a_model_that_repeats_itself_is_read_in_linear_time(head: str, unit: str) -> None:
    def seconds(repeats: int) -> float:
        text = f"{head}{unit * repeats}x"
        return min(timeit.repeat(lambda: parse_review(text), number=1, repeat=5))

    # Four times the text: four times as long, and not sixteen times.
    assert seconds(80_000) < 10 * seconds(20_000)


@given(st.text() | st.lists(st.sampled_from([ACCEPT, REJECT, "## Summary", "-", "\n", "x", "#"])))
def test_never_an_exception_nor_a_decision_that_is_not_there(text: str | list[str]) -> None:
    whole = text if isinstance(text, str) else "".join(text)
    decision = parse_review(whole).decision
    if decision is not None:
        assert ("acceptance" if decision == "accept" else "rejection") in whole.lower()


def test_the_deciding_word_is_what_comes_next() -> None:
    lead = "I recommend this paper for"
    whole = up_to_the_verdict(WHOLE_REVIEW, parse_review(WHOLE_REVIEW))
    assert whole == WHOLE_REVIEW.removesuffix(" ACCEPTANCE.")
    for text in ("", "cut off in the mid", "## Summary\nx\n\n## Final Recommendation"):
        opened = up_to_the_verdict(text, parse_review(text))
        assert opened.endswith(f"## Final Recommendation\n{lead}")
        assert opened.startswith(text)
        assert opened.count("## Final Recommendation") == 1
