"""Adapters into bases, on a tiny Gemma 4: what is saved is base + adapter, or it is refused."""

from __future__ import annotations

import gc
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from app.engine.launcher import installed_vllm
from app.engine.tokenizer import ChatTokenizer
from tests.conftest import MODEL
from tests.training.tiny import (
    CHAT_TEMPLATE,
    fake_sft,
    paper_row,
    prepared,
    review_row,
    tiny_gemma,
    tiny_tokenizer,
)
from training.adapter import load_adapted
from training.errors import CheckFailed, InputInvalid
from training.examples import make_example
from training.greedy import compare_greedy, count_ties, first_difference, greedy_answer
from training.logits import divergence, largest_change
from training.manifest import Manifest
from training.merge import STAGE
from training.stage import run_stage
from training.weights import load_model

WITHOUT_VLLM = {"vllm": False, "probes": 2, "probe_tokens": 256}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gemma(tmp_path_factory.mktemp("base") / "model")


def merge(folder: Path, base: Path, scale: float = 0.05, **merge: Any) -> Manifest:
    recipe = prepared(folder, base, val=[review_row(8)], merge={**WITHOUT_VLLM, **merge})
    fake_sft(recipe, scale)
    return run_stage(STAGE, recipe)


@pytest.mark.parametrize("multimodal", [False, True], ids=["text", "multimodal"])
def test_what_is_saved_is_base_and_adapter_within_the_noise_of_bfloat16(
    multimodal: bool, tmp_path: Path
) -> None:
    base = tiny_gemma(tmp_path / "base", multimodal=multimodal)
    counts = merge(tmp_path, base).counts
    kl = counts["kl"]
    assert counts["probes"] == 1
    assert counts["positions"] > 50
    assert abs(kl["merged_in_float32"]["mean"]) < 1e-6
    assert 0 < kl["merged"]["mean"] < 4 * kl["noise_floor"]["mean"]
    # Else the comparison could not tell a merged adapter from a lost one.
    assert kl["without_adapter"]["mean"] > 10 * kl["noise_floor"]["mean"]
    _check_files(base, tmp_path / "out" / "merge" / "model", changed=counts["changed_weights"])


def _check_files(base: Path, merged: Path, changed: int) -> None:
    before, after = (load_file(folder / "model.safetensors") for folder in (base, merged))
    assert before.keys() == after.keys()  # no tied lm_head for a second time
    assert {tensor.dtype for tensor in after.values()} == {torch.bfloat16}
    differing = {name: int((before[name] != after[name]).sum()) for name in before}
    assert sum(differing.values()) == changed
    assert {name for name, count in differing.items() if count} == {
        name for name in before if ".layers." in name and "_proj." in name and "tower" not in name
    }
    assert AutoTokenizer.from_pretrained(merged).chat_template == CHAT_TEMPLATE
    generation = json.loads((merged / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [1, 5]
    assert generation["temperature"] == 0.2
    assert str(base) not in (merged / "config.json").read_text()
    assert type(AutoModelForCausalLM.from_pretrained(merged)).__name__ in (
        "Gemma4ForCausalLM",
        "Gemma4ForConditionalGeneration",
    )


def test_a_copy_farther_away_than_the_recipe_allows_is_refused(tmp_path: Path, base: Path) -> None:
    with pytest.raises(CheckFailed, match=r"is not base \+ adapter.*times the noise floor"):
        merge(tmp_path, base, kl_limit=0.1, kl_share=0)
    assert not (tmp_path / "out" / "merge" / "manifest.json").exists()


def test_an_adapter_that_changes_nothing_is_refused(tmp_path: Path, base: Path) -> None:
    with pytest.raises(CheckFailed, match="changes no weight"):
        merge(tmp_path, base, scale=0.0)


def test_an_adapter_of_another_base_is_refused(tmp_path: Path, base: Path) -> None:
    recipe = prepared(tmp_path, base, merge=WITHOUT_VLLM)
    fake_sft(recipe, base_sha256="0" * 64)
    with pytest.raises(InputInvalid, match="adapter was trained on another base"):
        run_stage(STAGE, recipe)


def test_an_adapter_that_does_not_go_on_the_base_is_refused(tmp_path: Path, base: Path) -> None:
    fake_sft(prepared(tmp_path, base))
    adapter = tmp_path / "out" / "sft" / "adapter"
    weights = adapter / "adapter_model.safetensors"
    tensors = load_file(weights)

    wider = {name: torch.cat([tensor, tensor], 1) for name, tensor in tensors.items()}
    save_file(wider, weights)
    with pytest.raises(InputInvalid, match=r"does not fit the base model: .*size mismatch"):
        load_adapted(base, adapter, torch.float32)

    save_file({f"x.{name}": tensor for name, tensor in tensors.items()}, weights)
    with pytest.raises(InputInvalid, match="72 of its tensors are unexpected, 72 are missing"):
        load_adapted(base, adapter, torch.float32)

    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputInvalid, match="does not fit the base model"):
        load_adapted(base, adapter, torch.float32)


def test_an_adapter_changed_since_sft_is_refused(tmp_path: Path, base: Path) -> None:
    recipe = prepared(tmp_path, base, merge=WITHOUT_VLLM)
    fake_sft(recipe)
    weights = tmp_path / "out" / "sft" / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputInvalid, match="was changed after sft wrote it"):
        run_stage(STAGE, recipe)


def test_the_divergence_of_two_distributions() -> None:
    one = torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log()
    other = torch.tensor([[0.5, 0.5], [0.1, 0.9]]).log()
    found = divergence([one], [other])
    # Per position 0 and 0.9 ln 9 + 0.1 ln(1/9) = 0.8 ln 9.
    assert found.most == pytest.approx(1.7578, abs=1e-4)
    assert found.mean == pytest.approx(found.most / 2)
    assert found.same_best == 0.5


@pytest.mark.xdist_group(MODEL)
@pytest.mark.skipif(installed_vllm() is None, reason="vLLM is not installed")
# vLLM leaves that behind when it is shut down.
@pytest.mark.filterwarnings("ignore:unclosed context:ResourceWarning")
def test_vllm_writes_what_transformers_writes(model_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    chat = ChatTokenizer(tokenizer)
    examples = [make_example(review_row(i), paper_row(i), chat, 2, 512) for i in (1, 2)]
    model = load_model(model_folder, torch.bfloat16)
    # In bfloat16 logits of 16 to 32 are 0.125 apart, and each side rounds.
    found = compare_greedy(model, model_folder, tokenizer, examples, tokens=12, tie=0.3)
    assert found["same"] + found["ties"] == 2
    assert found["same"] > 0
    gc.collect()


def test_another_models_greedy_answer_is_noticed(model_folder: Path) -> None:
    """The text is transformers' own, which vLLM's was just compared with."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    example = make_example(review_row(1), paper_row(1), ChatTokenizer(tokenizer), 2, 512)
    model = load_model(model_folder, torch.bfloat16)
    answer = greedy_answer(model, example.prompt, 12)
    text = tokenizer.decode(answer.ids, skip_special_tokens=True)
    assert count_ties([example], [answer], [text], tokenizer, tie=0.2) == 0

    with torch.no_grad():
        for layer in model.model.layers:
            layer.mlp.down_proj.weight.mul_(1.5)
    other = greedy_answer(model, example.prompt, 12)
    with pytest.raises(
        CheckFailed, match=r"row review/1: vLLM's greedy answer differs .* at token"
    ):
        count_ties([example], [other], [text], tokenizer, tie=0.2)


def test_the_largest_change_of_the_likeliest_token() -> None:
    one = torch.tensor([[0.6, 0.4], [0.1, 0.9]]).log()
    other = torch.tensor([[0.3, 0.7], [0.1, 0.9]]).log()
    assert largest_change([one], [other]) == pytest.approx(math.log(2))


def test_where_two_answers_part() -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer.encode("We count the tokens.<turn|>", add_special_tokens=False)
    assert first_difference(ids, "We count the tokens.", tokenizer) is None
    assert first_difference(ids, "We count", tokenizer) == 2
    assert first_difference(ids, "We count the papers.", tokenizer) == 3
    assert first_difference(ids, "We count the tokens. And", tokenizer) == len(ids) - 1
