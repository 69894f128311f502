"""Recipes: what is read, and how a wrong one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.recipes import recipe_file
from training.errors import RecipeError
from training.recipe_file import load_recipe
from training.recipe_sources import PeerReadSource

RECIPES = Path(__file__).parents[2] / "training" / "recipes"
SMOKE = (RECIPES / "smoke.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda file: file.stem)
def test_the_packages_recipes_are_whole(file: Path) -> None:
    recipe = load_recipe(file)
    assert recipe.run.name == file.stem
    assert recipe.folder("sft") == Path("runs") / file.stem / "sft"


def test_the_published_recipe_is_the_published_one() -> None:
    recipe = load_recipe(RECIPES / "full.yaml")
    assert recipe.model.base == "unsloth/gemma-4-E4B-it"
    assert recipe.run.seed == 42
    assert recipe.teach is not None
    assert recipe.teach.model == "gemini-3.1-pro-preview"
    assert (recipe.teach.temperature, recipe.teach.thinking_budget) == (0.3, 1024)
    sft = recipe.sft
    assert (sft.lora_rank, sft.lora_alpha, sft.lora_dropout) == (32, 64, 0)
    assert (sft.epochs, sft.learning_rate, sft.scheduler, sft.warmup_ratio) == (
        5,
        2e-5,
        "cosine",
        0.03,
    )
    assert sft.batch_size * sft.gradient_accumulation == 8
    assert (sft.max_length, sft.optimizer) == (8192, "adamw_8bit")
    (benchmark,) = recipe.collect.benchmark
    assert isinstance(benchmark, PeerReadSource)
    assert benchmark.venues == ("iclr_2017", "acl_2017", "conll_2016")
    assert benchmark.splits == ("dev", "test")


def wrong(folder: Path, text: str) -> str:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    return str(caught.value)


def line_of(text: str, what: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if what in line)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("  epochs:", "  epoch:", "unknown key 'sft.epoch'; did you mean 'epochs'?"),
        ("  targets:", "  target:", "unknown key 'filter.target'; did you mean 'targets'?"),
        ("      most: 40", "      mots: 40", "unknown key 'collect.sources.0.mots'"),
        ("  val_fraction: 0.2", "  val_fraction: 2", "filter.val_fraction: Input should be less"),
        ("card:", "cards:", "unknown key 'cards'; did you mean 'card'?"),
    ],
)
def test_a_wrong_key_or_value_is_told_with_its_line(
    tmp_path: Path, before: str, after: str, told: str
) -> None:
    text = SMOKE.replace(before, after)
    message = wrong(tmp_path, text)
    assert f"recipe.yaml, line {line_of(text, after)}: " in message
    assert told in message


def test_an_unknown_key_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    message = wrong(tmp_path, SMOKE.replace("  seed: 42", "  sed: 42"))
    assert message.endswith("Allowed keys: name, output, seed.")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "run: Field required"),
        ("- 1", "line 1: Input should be a valid dictionary"),
        ("run: {name: x", "line 1: expected"),
        ("run:\n  name: x\n  name: y", "line 3: duplicate key 'name'"),
        ("run: !!python/object:os.system {}", "could not determine a constructor"),
    ],
)
def test_what_is_no_recipe_is_told(tmp_path: Path, text: str, told: str) -> None:
    assert told in wrong(tmp_path, text)


def test_a_recipe_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_teacher_targets_need_a_teacher(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, filter={"targets": "teacher", "val_fraction": 0.1})
    with pytest.raises(RecipeError, match="there is no section 'teach'"):
        load_recipe(path)


@pytest.mark.parametrize("number", ["2e-5", "2.0e-05", "0.00002"])
def test_numbers_are_numbers_however_they_are_written(tmp_path: Path, number: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(SMOKE.replace("learning_rate: 5e-4", f"learning_rate: {number}"))
    assert load_recipe(path).sft.learning_rate == 2e-5
