"""A checkpoint that does not fit is refused; an adapter sits on the language model alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import Gemma4ForCausalLM

from tests.training.tiny import text_config, tiny_gemma, tiny_tokenizer
from training.errors import CheckFailed, InputInvalid
from training.lora_trl import open_model
from training.recipe import Sft
from training.weights import check_adapted, eos_ids, load_model

PLAIN_NAMES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


@pytest.fixture(scope="module")
def text_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gemma(tmp_path_factory.mktemp("text") / "model")


@pytest.fixture(scope="module")
def multimodal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gemma(tmp_path_factory.mktemp("multimodal") / "model", multimodal=True)


def adapted(folder: Path, targets: Any) -> Any:
    model = load_model(folder, torch.bfloat16)
    return get_peft_model(model, LoraConfig(target_modules=targets, task_type="CAUSAL_LM"))


@pytest.mark.parametrize("kind", ["text_only", "multimodal"])
def test_the_recipes_targets_are_all_of_the_language_model_and_no_tower(
    kind: str, request: pytest.FixtureRequest
) -> None:
    model = adapted(request.getfixturevalue(kind), Sft().target_modules)
    check_adapted(model)
    names = {
        re.sub(r"\.lora_A\.default\.weight$", "", name)
        for name, _ in model.named_parameters()
        if "lora_A" in name
    }
    # Six layers of q, o, gate, up, down; the first three have k and v, the others share theirs.
    assert len(names) == 6 * 5 + 3 * 2
    assert not [name for name in names if re.search("vision|audio", name)]
    assert all("language_model" in name for name in names) == (kind == "multimodal")


def test_an_adapter_on_a_tower_is_refused(multimodal: Path) -> None:
    with pytest.raises(CheckFailed, match=r"14 projections outside the language.*vision_tower"):
        check_adapted(adapted(multimodal, rf"{Sft().target_modules}|.*vision_tower.*_proj\.linear"))


def test_the_plain_seven_names_would_hit_the_towers(multimodal: Path) -> None:
    hit = [
        name
        for name, _ in load_model(multimodal, torch.bfloat16).named_modules()
        if name.endswith(tuple(PLAIN_NAMES)) and "language_model" not in name
    ]
    assert {name.split(".")[1] for name in hit} == {"vision_tower", "audio_tower"}
    # PEFT has no adapter for such layers; the recipe's key is named beside what it says.
    sft = Sft(target_modules=r".*_proj")
    with pytest.raises(CheckFailed, match=r"sft\.target_modules: .*Gemma4ClippableLinear"):
        open_model(multimodal, sft, seed=1)
    with pytest.raises(CheckFailed, match=r"sft\.target_modules: .*not found"):
        open_model(multimodal, Sft(target_modules=r"nothing"), seed=1)


def test_targets_that_leave_out_a_projection_are_refused(text_only: Path) -> None:
    with pytest.raises(CheckFailed, match=r"6 projections.*no adapter, .*layers\.0\.mlp\.down"):
        check_adapted(adapted(text_only, PLAIN_NAMES[:-1]))


def test_a_text_only_configuration_takes_its_part_of_multimodal_weights(
    multimodal: Path, tmp_path: Path
) -> None:
    whole = load_model(multimodal, torch.bfloat16)
    part = load_model(_as_text_only(multimodal, tmp_path), torch.bfloat16)
    assert isinstance(part, Gemma4ForCausalLM)
    ids = torch.arange(6, 40)[None]
    with torch.inference_mode():
        assert torch.equal(part(input_ids=ids).logits, whole(input_ids=ids).logits)


def test_weights_that_would_be_initialised_at_random_are_refused(
    text_only: Path, tmp_path: Path
) -> None:
    folder = _copy(text_only, tmp_path, lambda name: name.replace("model.layers", "model.blocks"))
    with pytest.raises(
        InputInvalid, match=r"tensors would be initialised at random, for example model\.layers"
    ):
        load_model(folder, torch.bfloat16)


def test_a_tensor_without_a_place_and_one_of_another_shape_are_refused(
    text_only: Path, tmp_path: Path
) -> None:
    extra = _copy(text_only, tmp_path / "extra", str, more={"model.extra.weight": torch.ones(2)})
    with pytest.raises(
        InputInvalid, match=r"1 tensors are not in the model, for example model\.extra"
    ):
        load_model(extra, torch.bfloat16)
    other = {"model.norm.weight": torch.ones(65)}
    shape = _copy(text_only, tmp_path / "shape", str, more=other)
    with pytest.raises(InputInvalid, match=r"model in .*can't be loaded|another shape"):
        load_model(shape, torch.bfloat16)


def test_a_truncated_file_and_a_folder_without_one_are_told(
    text_only: Path, tmp_path: Path
) -> None:
    folder = _copy(text_only, tmp_path, str)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(InputInvalid, match="can't be loaded"):
        load_model(folder, torch.bfloat16)
    weights.unlink()
    with pytest.raises(InputInvalid, match="can't be loaded"):
        load_model(folder, torch.bfloat16)


def test_the_tokens_that_end_a_generation(text_only: Path) -> None:
    model = load_model(text_only, torch.bfloat16)
    assert list(eos_ids(model)) == [1, 5]
    model.generation_config.eos_token_id = 1
    assert eos_ids(model) == [1]


def _as_text_only(multimodal: Path, folder: Path) -> Path:
    text_config(len(tiny_tokenizer())).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["Gemma4ForCausalLM"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes((multimodal / "model.safetensors").read_bytes())
    return folder


def _copy(source: Path, folder: Path, rename: Any, more: Any = ()) -> Path:
    folder.mkdir(exist_ok=True)
    for file in source.glob("*.json"):
        (folder / file.name).write_bytes(file.read_bytes())
    tensors = {
        rename(name): tensor for name, tensor in load_file(source / "model.safetensors").items()
    }
    save_file({**tensors, **dict(more)}, folder / "model.safetensors", metadata={"format": "pt"})
    return folder
