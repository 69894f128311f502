"""The expression for texts without certain words, against the words themselves."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.review.avoiding import text_without


@pytest.mark.parametrize(
    "words",
    [
        ("#",),
        ("#", "aa"),
        ("abab", "ba", "bc"),
        ("#", "mend this paper", "<|", "<p", "[i", "<\uff5c", "\U0001f600"),
    ],
)
def test_it_matches_exactly_the_texts_without_them(words: tuple[str, ...]) -> None:
    expression = re.compile(text_without(words))
    pieces = st.sampled_from([*words, *(word[:-1] for word in words), *"".join(words)])

    @given(st.lists(pieces | pieces.map(str.upper) | st.characters(exclude_categories=["C"])))
    def matches(parts: list[str]) -> None:
        text = "".join(parts)
        without = not any(word in text.lower() for word in words)
        assert bool(expression.fullmatch(text)) == without

    matches()


@pytest.mark.parametrize("character", ["\0", "\r", "\x7f", "\x1b"])
def test_control_characters_are_no_text(character: str) -> None:
    assert re.fullmatch(text_without(["#"]), f"a{character}b") is None
