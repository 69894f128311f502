"""A review's grammar has no dead end, whatever the model's vocabulary and wherever sections end."""

from __future__ import annotations

import random
from importlib.metadata import PackageNotFoundError

import pytest
import xgrammar
from transformers import AutoTokenizer

from app.review.templates import own_templates
from app.settings import Settings
from tests import vocabularies
from tests.review.walks import Vocabulary, Walker

WALKS = {"smollm2": 500, "made_up": 500, "gemma": 100, "qwen": 100}
"""A walk takes 10 ms of CPU time, and 35 with Gemma's tokens; benchmarks/walks.py goes 20,000."""


@pytest.fixture(scope="module", params=["smollm2", "made_up", "gemma", "qwen"])
def vocabulary(request: pytest.FixtureRequest) -> Vocabulary:
    cache_dir = Settings().cache_dir / "vocabularies"
    try:
        match request.param:
            case "made_up":
                return Vocabulary(vocabularies.made_up())
            case "gemma":
                return Vocabulary(vocabularies.gemma(cache_dir))
            case "qwen":
                return Vocabulary(vocabularies.qwen(cache_dir))
    except PackageNotFoundError as missing:
        pytest.skip(f"{missing.name} is not installed: make setup")
    return Vocabulary(AutoTokenizer.from_pretrained(request.getfixturevalue("model_folder")))


@pytest.fixture(scope="module")
def compiler(vocabulary: Vocabulary) -> xgrammar.GrammarCompiler:
    """One for all templates, as in the engine."""
    return xgrammar.GrammarCompiler(vocabulary.info, max_threads=2)


@pytest.mark.parametrize("template", own_templates())
def test_every_walk_ends_in_a_whole_review(
    request: pytest.FixtureRequest,
    vocabulary: Vocabulary,
    compiler: xgrammar.GrammarCompiler,
    template: str,
) -> None:
    walker = Walker(vocabulary, own_templates()[template], compiler)
    rng = random.Random(template)  # noqa: S311
    for _ in range(WALKS[request.node.callspec.params["vocabulary"]]):
        walker.check(walker.walk(rng))
