"""A review's grammar has no dead end, whatever the model's vocabulary and wherever sections end."""

from __future__ import annotations

import random

import pytest
import xgrammar
from transformers import AutoTokenizer

from app.review.templates import own_templates
from tests import vocabularies
from tests.review.walks import Vocabulary, Walker

WALKS = 200


@pytest.fixture(scope="module", params=["smollm2", "made_up"])
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    if request.param == "smollm2":
        return Vocabulary(AutoTokenizer.from_pretrained(request.getfixturevalue("model_folder")))
    return Vocabulary(vocabularies.made_up())


@pytest.fixture(scope="module")
def compiler(vocabulary: Vocabulary) -> xgrammar.GrammarCompiler:
    """One for all templates, as in the engine."""
    return xgrammar.GrammarCompiler(vocabulary.info, max_threads=2)


@pytest.mark.parametrize("template", own_templates())
def test_every_walk_ends_in_a_whole_review(
    vocabulary: Vocabulary, compiler: xgrammar.GrammarCompiler, template: str
) -> None:
    walker = Walker(vocabulary, own_templates()[template], compiler)
    rng = random.Random(template)  # noqa: S311
    for _ in range(WALKS):
        walker.check(walker.walk(rng))
