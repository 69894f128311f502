"""A review that is cut into its sections while it is still being written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.parse import ParsedReview, parse_review
from app.review.sectioning import SectionDelta, SectionDone, SectionStream
from app.review.structure import Constraint
from tests.doubles import WHOLE_REVIEW, WordTokenizer
from tests.review.test_parse import CASES, LOOSE, SECTIONS, TEMPLATES, Case

CONSTRAINT = Constraint({}, WordTokenizer())
Events = list[SectionDelta | SectionDone]


def events(pieces: Sequence[str], stream: SectionStream | None = None) -> Events:
    stream = stream or SectionStream(SECTIONS)
    found: Events = []
    for piece in pieces:
        found += stream.feed(piece)
    return found + stream.close()


def texts(found: Events) -> list[tuple[str, str]]:
    """Each run of deltas of one field, as (field, text), in order."""
    runs: list[tuple[str, str]] = []
    for event in found:
        if isinstance(event, SectionDelta):
            if runs and runs[-1][0] == event.field:
                runs[-1] = (event.field, runs[-1][1] + event.text)
            else:
                runs.append((event.field, event.text))
    return runs


def done(found: Events) -> list[SectionDone]:
    return [event for event in found if isinstance(event, SectionDone)]


def values(parsed: ParsedReview) -> dict[str, str | tuple[str, ...]]:
    return {**parsed.prose, **parsed.points}


def test_a_whole_review() -> None:
    found = events([WHOLE_REVIEW])
    assert found == [
        SectionDelta("summary", "It counts tokens.\n\n"),
        SectionDone("summary", "It counts tokens."),
        SectionDelta("strengths", "- It counts them once.\n- It says so.\n\n"),
        SectionDone("strengths", ("It counts them once.", "It says so.")),
        SectionDelta("weaknesses", "- It counts nothing else.\n\n"),
        SectionDone("weaknesses", ("It counts nothing else.",)),
        SectionDelta("technical_soundness", "Sound.\n\n"),
        SectionDone("technical_soundness", "Sound."),
        SectionDelta("clarity", "Clear.\n\n"),
        SectionDone("clarity", "Clear."),
        SectionDelta("significance", "Some.\n\n"),
        SectionDone("significance", "Some."),
        SectionDelta("verdict", "I recommend this paper for ACCEPTANCE."),
    ]


def test_text_of_no_section_has_a_field_of_its_own() -> None:
    found = events(["Sure!\n# Review of X\nby me\n## Summary\na\n## Questions\nb\n## Summary\nc"])
    assert texts(found) == [
        ("preamble", "Sure!\n"),
        ("other", "by me\n"),
        ("summary", "a\n"),
        ("other", "b\nc"),
    ]
    assert done(found) == [SectionDone("summary", "a")]


@pytest.mark.parametrize(
    ("written", "out"),
    [
        ("We", ""),  # Weaknesses
        ("We c", "We c"),
        ("The paper ", ""),  # The paper summary:
        ("The paper is", "The paper is"),
        ("**Sum", ""),
        ("**Sub", "**Sub"),
        ("**Summary** i", "**Summary** i"),
        ("1. ", ""),
        ("1. In", "1. In"),
        ("- In", "- In"),
        ("#", ""),
        ("####### ", "####### "),
        ("<thi", ""),
        ("<this", "<this"),
        ("I recommend this pa", ""),
        ("I recommend this paper for its", "I recommend this paper for its"),
        ("I recommend this poster", "I recommend this poster"),
        ("In a line, ## Sum", "In a line, ## Sum"),
        (" \t", ""),
        ("x" + " " * 50, "x" + " " * 50),
    ],
)
def test_only_what_may_become_a_heading_is_held_back(written: str, out: str) -> None:
    stream = SectionStream(SECTIONS)
    found = stream.feed("## Summary\n")
    for character in written:
        found += stream.feed(character)
    assert "".join(text for _, text in texts(found)) == out
    assert "".join(text for _, text in texts(found + stream.close())) in (written, "")


def test_thinking_is_left_out() -> None:
    text = "<think>\n## Summary\nhm\n</think>\n## Summary\nIt counts.\n<|channel>thought\nhm"
    for size in (1, 2, 3, 100):
        found = events([text[at : at + size] for at in range(0, len(text), size)])
        assert texts(found)[-1] == ("summary", "It counts.\n")
        assert done(found) == [SectionDone("summary", "It counts.")]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_the_table_letter_by_letter(case: Case) -> None:
    sections = TEMPLATES[case.sections]
    found = events(list(case.text), SectionStream(sections))
    whole = events([case.text], SectionStream(sections))
    assert texts(found) == texts(whole)
    assert done(found) == done(whole)
    if "think" not in case.text.lower() and "thought" not in case.text:
        parsed = parse_review(case.text, sections)
        assert {event.field: event.value for event in done(found)} == values(parsed)


REVIEWS = st.lists(st.sampled_from(LOOSE) | st.text(max_size=3)).map("".join) | st.text()


@given(REVIEWS, st.lists(st.integers(0, 400)))
def test_any_pieces_give_the_same(text: str, cuts: list[int]) -> None:
    borders = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    found = events([text[start:end] for start, end in pairwise(borders)])
    whole = events([text])
    assert texts(found) == texts(whole)
    assert done(found) == done(whole)


@given(REVIEWS)
def test_its_sections_are_the_parsers(text: str) -> None:
    found = events(list(text))
    fields = [event.field for event in done(found)]
    assert len(fields) == len(set(fields))
    if not any(tag in text.lower() for tag in ("<think", "</think", "channel", "<thought")):
        parsed = parse_review(text, SECTIONS)
        assert {event.field: event.value for event in done(found)} == values(parsed)


@given(REVIEWS)
def test_all_text_but_headings_flows_in_order(text: str) -> None:
    rest = iter(text)
    assert all(character in rest for _, flowed in texts(events([text])) for character in flowed)


@pytest.mark.parametrize("unit", ["#", "*", " ", "x", "\n", "<think>", "# x\n", "**Summary** "])
def test_pieces_are_read_in_linear_time(unit: str) -> None:
    def seconds(repeats: int) -> float:
        pieces = [unit] * repeats
        times = []
        for _ in range(3):
            started = time.process_time()
            events(pieces)
            times.append(time.process_time() - started)
        return min(times)

    assert seconds(16_000) < 10 * seconds(4_000) + 0.002


HELD = """## Summary
The paper counts.
**Significance:** a bold word is no heading here, nor is
Clarity: this line.

## Strengths
- It counts.

## Weaknesses
- It is long.

## Technical Soundness
Sound.

## Clarity and Writing
Clear.

## Significance
Some.

## Final Recommendation
I recommend this paper for REJECTION."""


def test_in_a_held_text_only_the_templates_headings_count() -> None:
    parsed = parse_review(HELD, SECTIONS, CONSTRAINT)
    assert parsed.prose["summary"].endswith("Clarity: this line.")
    assert parsed.prose["significance"] == "Some."
    assert (parsed.decision, parsed.verdict_at) == ("reject", HELD.index("I recommend"))
    stream = SectionStream(SECTIONS, CONSTRAINT)
    done = [e for e in events(list(HELD), stream) if isinstance(e, SectionDone)]
    assert {e.field: e.value for e in done} == {**parsed.prose, **parsed.points}


def test_a_held_text_flows_at_once() -> None:
    stream = SectionStream(SECTIONS, CONSTRAINT)
    assert stream.feed("## Summary\n") == []
    for piece in ("The", " paper", "\n", "Weak", "nesses", ": none"):
        assert stream.feed(piece) == [SectionDelta("summary", piece)]


def test_what_was_not_held_after_all_is_read_as_it_is() -> None:
    loose = "**Summary:** It counts.\n\nI recommend this paper for ACCEPTANCE."
    assert parse_review(loose, SECTIONS, CONSTRAINT) == parse_review(loose, SECTIONS)
