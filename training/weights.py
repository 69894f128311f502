"""Loads a model's weights, and refuses weights that do not fit; transformers only warns.

``Gemma4ForCausalLM.from_pretrained`` on a multimodal checkpoint finds none of its tensors,
initialises all of them at random and only logs a table. The loss of such a model starts at
ln(vocabulary size), about 12, and training gives noise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from training.errors import CheckFailed, InputInvalid

_TEXT_KEYS = {r"^model\.language_model\.": "model."}
"""Maps the tensor names of a multimodal Gemma 4 to those of its language model alone."""
_TOWERS = re.compile(r"model\.(vision_tower|audio_tower|embed_vision|embed_audio)\.")


def load_model(folder: Path, dtype: torch.dtype, quantization: Any = None) -> PreTrainedModel:
    """The causal language model of a folder, with all of its tensors loaded from there.

    With a text-only configuration and the weights of a multimodal Gemma 4, the towers are left out.

    Raises:
        InputInvalid: the files are damaged, or do not match the configuration.
    """
    try:
        text_only = AutoConfig.from_pretrained(folder).model_type == "gemma4_text"
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            output_loading_info=True,
            key_mapping=_TEXT_KEYS if text_only else None,
            quantization_config=quantization,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputInvalid(
            f"the model in {folder} can't be loaded: {first_lines(error)}"
        ) from error
    unexpected = {name for name in report["unexpected_keys"] if not _TOWERS.match(name)}
    _refuse(folder, "would be initialised at random", report["missing_keys"])
    _refuse(folder, "have another shape", [name for name, *_ in report["mismatched_keys"]])
    _refuse(folder, "are not in the model", unexpected)
    return model


def _refuse(folder: Path, what: str, names: Iterable[str]) -> None:
    names = sorted(names)
    if names:
        raise InputInvalid(
            f"the weights in {folder} do not fit its config.json: {len(names)} tensors {what}, for "
            f"example {names[0]}"
        )


def first_lines(error: Exception) -> str:
    """The first two lines of a message, which may list every tensor."""
    return " ".join(line.strip() for line in str(error).strip().splitlines()[:2])


def eos_ids(model: PreTrainedModel) -> Sequence[int]:
    """The tokens that end a generation."""
    generation: GenerationConfig = model.generation_config
    ids = generation.eos_token_id
    return [ids] if isinstance(ids, int) else list(ids or ())


def check_adapted(model: Any) -> None:
    """Check that exactly the linear projections of the language model have an adapter.

    Raises:
        CheckFailed: one has no adapter, or a layer elsewhere (a vision tower) has one.
    """
    names = {id(module): name for name, module in model.named_modules()}
    adapted = {names[id(module)] for module in model.modules() if isinstance(module, LoraLayer)}
    expected = {
        names[id(module)]
        for layer in model.get_base_model().get_decoder().layers
        for part in (layer.self_attn, layer.mlp)
        for module in part.children()
        if isinstance(module, torch.nn.Linear | LoraLayer)
    }
    for what, wrong in (
        ("outside the language model's layers have an adapter", adapted - expected),
        ("of the language model's layers have no adapter", expected - adapted),
    ):
        if wrong:
            raise CheckFailed(
                f"sft.target_modules: {len(wrong)} projections {what}, for example {min(wrong)}"
            )
