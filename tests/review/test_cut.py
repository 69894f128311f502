"""Sections that ran out of tokens end whole, and what stands there twice is told once."""

from __future__ import annotations

from itertools import pairwise

import pytest

from app.paper.sentences import sentence_ends
from app.review.parse import parse_review
from app.review.sectioning import SectionDone, SectionStream
from app.review.structure import Constraint, section_budgets
from app.review.templates import published
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW, ScriptedEngine, WordTokenizer
from tests.review.test_constraint import TEXT, events, told

SECTIONS = published().sections


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It counts. It is", ["It counts."]),
        ("It counts tokens", []),
        ("See Fig. 3 and Smith et al. (2020). Then", ["See Fig. 3 and Smith et al. (2020)."]),
        ("Is it? Yes! (It is.) So", ["Is it?", "Yes!", "(It is.)"]),
        ("**It is bold.** And", ["**It is bold.**"]),
        ("It is 0.5 points better. By 3.", ["It is 0.5 points better."]),
        ("It grew in 2020. Then it fell by", ["It grew in 2020."]),
        ("As in e.g.", []),
        ("它很好。它", ["它很好。"]),
        ("Ça va. Évidemment", ["Ça va."]),
        ("One.\n- Two. three\n- Four", ["One."]),
    ],
)
def test_where_sentences_end(text: str, sentences: list[str]) -> None:
    borders = [0, *sentence_ends(text)]
    assert [text[start:end].strip() for start, end in pairwise(borders)] == sentences


def cut_off(section: str, heading: str = "Clarity and Writing") -> tuple[object, tuple[str, ...]]:
    """A section's value where a free text ends with it, and which sections are cut."""
    parsed = parse_review(f"## Summary\nIt is.\n\n## {heading}\n{section}", SECTIONS, cut=True)
    field = next(spec.field for spec in SECTIONS if spec.heading == heading)
    return parsed.points.get(field) or parsed.prose.get(field), parsed.cut


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("It is clear. The conclusion is that", "It is clear."),
        ("It is clear.\n\nThe conclusion", "It is clear."),
        ("The conclusion is that", "The conclusion is that"),
        ("- It is clear\n- The conclusion", "- It is clear"),
        ("Points:\n- The conclusion", "Points:\n- The conclusion"),
        ("It is clear.", "It is clear."),
    ],
)
def test_a_text_ends_with_its_last_sentence(written: str, value: str) -> None:
    assert cut_off(written) == (value, ("clarity",))


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("- It is fast.\n- It is al", ("It is fast.",)),
        ("- It is fast\n- It is small. It is al", ("It is fast", "It is small.")),
        ("- It is fast\n- It is al", ("It is fast",)),
        ("- It is al", ("It is al",)),
        ("- It is fast.\n-", ("It is fast.",)),
    ],
)
def test_a_list_ends_with_its_last_point(written: str, value: tuple[str, ...]) -> None:
    assert cut_off(written, "Weaknesses") == (value, ("weaknesses",))


def test_what_came_to_its_end_is_not_cut() -> None:
    parsed = parse_review("## Strengths\n- Fast\n\n## Clarity and Writing\nIt is", SECTIONS)
    assert (parsed.points["strengths"], parsed.prose["clarity"]) == (("Fast",), "It is")
    assert parsed.cut == ()


LONG = "We count the words of it twice. " * 40
"""More than any section's budget here."""


def crowded() -> tuple[str, Constraint]:
    """A review whose every section has used up its budget, in the middle of a sentence."""
    words, tokens = WordTokenizer(), 400
    budgets = section_budgets(words, published(), tokens)
    parts: list[str] = []
    for spec in SECTIONS:
        written = LONG.split(" ")[: budgets[spec.field] + 1]
        if len(written) % 7 == 0:
            written.append("We")
        first = "- It counts.\n- " if spec.bullets else ""
        parts.append(f"## {spec.heading}\n{first}{' '.join(written)}")
    text = "\n\n".join(parts)
    verdict = "## Final Recommendation\nI recommend this paper for ACCEPTANCE."
    return f"{text}\n\n{verdict}", Constraint(budgets, words)


def test_each_section_is_held_against_its_own_budget() -> None:
    text, constraint = crowded()
    parsed = parse_review(text, SECTIONS, constraint)
    assert parsed.cut == tuple(spec.field for spec in SECTIONS)
    values = [*parsed.prose.values(), *(points[-1] for points in parsed.points.values() if points)]
    assert all(value.endswith("twice.") for value in values)
    assert not parse_review(text, SECTIONS).cut
    shorter = text.replace("## Significance\nWe count", "## Significance\nNo end. ", 1)
    end = shorter.index("## Significance")
    brief = f"{shorter[:end]}## Significance\nNo end\n\n## Final Recommendation\nI recommend"
    assert "significance" not in parse_review(brief, SECTIONS, constraint).cut


def test_the_stream_and_the_resource_say_the_same(serve: Serve) -> None:
    text, _ = crowded()
    client = serve(ScriptedEngine(WordTokenizer(), [text]), Settings())
    stream = events(client, max_tokens=400)
    body = stream[-1]["review"]
    assert body["constrained"] is True
    assert body["text"] == text
    assert body["integrity"]["cut_sections"] == [spec.field for spec in SECTIONS]
    # Both lists begin with the same point.
    assert body["integrity"]["repeated_points"] == 1
    assert [len(body["review"][field]) for field in ("strengths", "weaknesses")] == [2, 1]
    streamed = dict(told(stream)[0])
    for field in ("summary", "technical_soundness", "clarity", "significance"):
        assert streamed[field] == body["review"][field]
        assert streamed[field].endswith("We count the words of it twice.")
    for field in ("strengths", "weaknesses"):
        assert streamed[field] == [point["text"] for point in body["review"][field]]


@pytest.mark.parametrize("reason", ["length", "stop"])
def test_a_free_text_that_was_cut_off(serve: Serve, reason: str) -> None:
    text = "## Summary\nIt counts\n\n## Significance\nIt matters. To whom it"
    engine = ScriptedEngine(WordTokenizer(), [text], finish_reason=reason)
    stream = events(serve(engine, Settings()), format="free")
    body = stream[-1]["review"]
    cut = reason == "length"
    expected = "It matters." if cut else "It matters. To whom it"
    assert body["review"]["significance"] == expected
    assert ("significance", expected) in told(stream)[0]
    assert body["review"]["summary"] == "It counts"
    assert body["integrity"]["cut_sections"] == (["significance"] if cut else [])
    assert body["text"] == text


TWICE = """## Summary
It counts.

## Strengths
- It counts tokens once.
- **It counts tokens, once**!
- It is fast: 5 ms.
- It is fast: 6 ms.

## Weaknesses
- it   counts tokens once
- It is long; x < y.
- It is long; x > y.

## Clarity and Writing
It counts tokens once."""


def test_a_point_is_told_once() -> None:
    parsed = parse_review(TWICE, SECTIONS)
    assert parsed.points == {
        "strengths": ("It counts tokens once.", "It is fast: 5 ms.", "It is fast: 6 ms."),
        "weaknesses": ("It is long; x < y.", "It is long; x > y."),
    }
    assert parsed.repeated == 2
    assert parsed.prose["clarity"] == "It counts tokens once."
    stream = SectionStream(SECTIONS)
    done = [e for e in [*stream.feed(TWICE), *stream.close()] if isinstance(e, SectionDone)]
    assert {e.field: e.value for e in done} == {**parsed.points, **parsed.prose}


def test_nothing_is_said_of_a_review_that_is_whole(serve: Serve) -> None:
    client = serve(ScriptedEngine(WordTokenizer(), [WHOLE_REVIEW]), Settings())
    integrity = client.post("/v1/reviews", json=TEXT, timeout=60).json()["integrity"]
    assert (integrity["cut_sections"], integrity["repeated_points"]) == ([], 0)
