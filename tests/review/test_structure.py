"""The structural tag: exact to the token."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import xgrammar
from transformers import AutoTokenizer

from app.engine.tokenizer import ChatTokenizer
from app.errors import InvalidRequest
from app.review.labels import verdict_labels
from app.review.structure import review_structure
from app.review.templates import published


def rules(structure: dict[str, Any]) -> dict[str, str]:
    """The grammar's rules by name and options."""
    lines: str = structure["format"]["grammar"]
    return dict(line.split(" ::= ", 1) for line in lines.splitlines())


def spelled(tokenizer: ChatTokenizer, structure: dict[str, Any], label: int) -> str:
    """The text of the fixed parts, with ``…`` for each free one."""
    fixed, either = rules(structure)["root"].removesuffix(")").split(" (")
    parts = re.split(r' section\d+ "\\n\\n" ', f"{fixed} {either.split(' | ')[label]}")
    ids = [[int(token) for token in re.findall(r"Token\((\d+)\)", part)] for part in parts]
    return "…\n\n".join(map(tokenizer.decode, ids))


def budgets(structure: dict[str, Any]) -> list[int]:
    return [int(n) for name in rules(structure) for n in re.findall(r"max_tokens=(\d+)", name)]


@pytest.mark.parametrize(("label", "word"), [(0, "ACCEPTANCE"), (1, "REJECTION")])
def test_the_fixed_parts_are_the_published_format(
    tokenizer: ChatTokenizer, label: int, word: str
) -> None:
    assert spelled(tokenizer, review_structure(tokenizer, published(), 512), label) == (
        "## Summary\n…\n\n## Strengths\n-…\n\n## Weaknesses\n-…\n\n## Technical Soundness\n…"
        "\n\n## Clarity and Writing\n…\n\n## Significance\n…"
        f"\n\n## Final Recommendation\nI recommend this paper for {word}."
    )


@pytest.fixture(scope="module")
def compiled(tokenizer: ChatTokenizer, model_folder: Path) -> xgrammar.CompiledGrammar:
    info = xgrammar.TokenizerInfo.from_huggingface(AutoTokenizer.from_pretrained(model_folder))
    compiler = xgrammar.GrammarCompiler(info)
    return compiler.compile_structural_tag(
        json.dumps(review_structure(tokenizer, published(), 512))
    )


@pytest.mark.parametrize(
    ("section", "told"),
    [
        (" A method. I would recommend this", True),
        (" A method. I recommend this paper", False),
        (" I recommend this paper", False),
        ("I recommend this paper", False),
        (" A method. I Recommend this paper", False),
        (" (An *old* method)", True),
        (" 1. A new method", False),
        (" A method.\n\n## Verdict", False),
        (" A METHOD. I RECOMMEND THIS PAPER", False),
        (" It mends this part, and they commend this.", True),
        (" A method.<|im_end|>", False),
        (" It has a<b, p < 0.05 and <3", True),
    ],
)
def test_a_section_has_words_and_no_verdict(
    tokenizer: ChatTokenizer, compiled: xgrammar.CompiledGrammar, section: str, told: bool
) -> None:
    matcher = xgrammar.GrammarMatcher(compiled)
    assert all(map(matcher.accept_token, tokenizer.encode("## Summary\n")))
    assert matcher.accept_string(section) is told


@pytest.mark.parametrize("max_tokens", [250, 512, 1400])
def test_the_budgets_leave_room_for_the_verdict(tokenizer: ChatTokenizer, max_tokens: int) -> None:
    structure = review_structure(tokenizer, published(), max_tokens)
    free = budgets(structure)
    fixed = rules(structure)["root"].count("Token(")
    assert len(free) == 6
    # Two newlines and the rest of a character for each section, and the end of the turn.
    assert sum(free) + 6 * 5 + fixed + 1 <= max_tokens + 5  # both verdicts are in the root
    assert min(free) >= 16


def test_too_few_tokens_are_refused_with_the_least_that_works(tokenizer: ChatTokenizer) -> None:
    with pytest.raises(InvalidRequest, match=r"at least (\d+)") as refused:
        review_structure(tokenizer, published(), 100)
    least = int("".join(filter(str.isdigit, str(refused.value).split("least")[1].split(";")[0])))
    assert review_structure(tokenizer, published(), least)
    with pytest.raises(InvalidRequest):
        review_structure(tokenizer, published(), least - 2)


def test_the_labels_are_the_tokenizers_own(tokenizer: ChatTokenizer) -> None:
    labels = verdict_labels(tokenizer)
    assert tokenizer.decode(labels.accept) == " ACCEPTANCE."
    assert tokenizer.decode(labels.reject) == " REJECTION."
    # As found with this model: " ACC" and " RE".
    assert (labels.accept[0], labels.reject[0]) == (34198, 12710)
