"""Characters and hyphens."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.paper.clean import Vocabulary, clean, join_lines


@pytest.mark.parametrize(
    ("raw", "mended"),
    [
        ("a\x00b\x07c", "abc"),
        ("e\x1bective \x1cnal \x1dow \x1eliation", "effective final flow ffiliation"),
        ("\ufb01nal o\ufb03ce", "final office"),
        ("x\u00b2 stays", "x\u00b2 stays"),
        ("  a \t b\n", "a b"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
        ("Schr¨ odinger, ´Eric, Fran¸cois", "Schrödinger, Éric, François"),
        ("f (x) = ¨x", "f (x) = ẍ"),
        ("syn\u00adapses genera\u00ad", "synapses genera\u00ad"),
        ("L\uf761\uf779\uf76f\uf775\uf774\uf773 \uf7e0 \uf731\uf739", "Layouts à 19"),
        ("The\u00adpatients\u00adof\u00adall\u00adgroups", "The patients of all groups"),
        ("zero\u200bwidth tag\U000e0041s and \u202ebidi", "zero width tags and bidi"),
    ],
)
def test_cleaning(raw: str, mended: str) -> None:
    assert clean(raw) == mended


@given(st.text(alphabet=st.characters(exclude_categories=[])))
@example("¡`\rA")
@example("`\u00adA")
@example("` \u00ad A")
def test_cleaned_text_can_be_stored_and_is_clean(raw: str) -> None:
    text = clean(raw)
    text.encode("utf-8")
    assert not any(unicodedata.category(char) == "Cc" for char in text)
    assert clean(text) == text


@pytest.mark.parametrize(
    ("known", "lines", "joined"),
    [
        ("performance", ["the perfor-", "mance of"], "the performance of"),
        ("", ["the perfor-", "mance of"], "the performance of"),
        ("well-known", ["is well-", "known to"], "is well-known to"),
        ("cross entropy", ["the cross-", "entropy loss"], "the cross-entropy loss"),
        ("cross entropy crossentropy", ["the cross-", "entropy loss"], "the crossentropy loss"),
        ("", ["with GPT-", "Neo and"], "with GPT-Neo and"),
        ("in frequently", ["appear in-", "frequently here"], "appear infrequently here"),
        ("success fully", ["success-", "fully done"], "successfully done"),
        ("goodness of", ["the goodness-", "of fit"], "the goodness-of fit"),
        ("non-linear non-zero convex", ["a non-", "convex set"], "a non-convex set"),
        ("rule-based tree-based cue", ["the cue-", "based one"], "the cue-based one"),
        ("TRANSFORMERS", ["IN TRANS-", "FORMERS"], "IN TRANSFORMERS"),
        ("", ["genera\u00ad", "tion of"], "generation of"),
        ("", ["a range of 3 -", "5 cm"], "a range of 3 - 5 cm"),
        ("", ["one", "two"], "one two"),
    ],
)
def test_hyphens_at_line_ends(known: str, lines: list[str], joined: str) -> None:
    text, starts = join_lines(lines, Vocabulary([known, *lines]))
    assert text == joined
    assert len(starts) == len(lines)


def test_halves_of_divided_words_are_no_words_of_the_paper() -> None:
    lines = ["a per-", "formance per se of a net-", "formance, per day"]
    text, _ = join_lines(lines, Vocabulary(lines))
    assert text == "a performance per se of a netformance, per day"


@given(st.lists(st.text(max_size=30), max_size=8))
def test_joining_lines_keeps_all_but_hyphens_and_knows_where_each_begins(raw: list[str]) -> None:
    lines = [line for line in map(clean, raw) if line]
    text, starts = join_lines(lines, Vocabulary(lines))
    assert starts == sorted(starts)
    assert text.replace("-", "").replace("\u2010", "").replace("\u00ad", "").replace(
        " ", ""
    ) == "".join(lines).replace("-", "").replace("\u2010", "").replace("\u00ad", "").replace(
        " ", ""
    )
    for line, start in zip(lines, starts, strict=True):
        assert text[start:].startswith(line[:-1])
