"""Loads a base model with a LoRA adapter, and checks that the adapter belongs to the base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import (
    PeftConfig,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError
from safetensors.torch import load_file

from training.errors import InputInvalid
from training.weights import first_lines, load_model

_WEIGHTS = "adapter_model.safetensors"


def load_adapted(base: Path, adapter: Path, dtype: torch.dtype) -> Any:
    """The base with the adapter attached (not merged), all weights in ``dtype``.

    Raises:
        InputInvalid: the adapter is damaged, or belongs to another model.
    """
    model = load_model(base, dtype)
    try:
        saved = load_file(adapter / _WEIGHTS)
        config = PeftConfig.from_pretrained(adapter)
        config.base_model_name_or_path = model.name_or_path
        # A later .to(dtype) would also round the rotary frequencies.
        adapted = get_peft_model(model, config, autocast_adapter_dtype=False)
        expected = get_peft_model_state_dict(adapted).keys()
        set_peft_model_state_dict(adapted, saved)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputInvalid(
            f"the adapter in {adapter} does not fit the base model: {first_lines(error)}"
        ) from error
    if saved.keys() != expected:
        raise InputInvalid(
            f"the adapter in {adapter} is for another model: {len(saved.keys() - expected)} of its "
            f"tensors are unexpected, {len(expected - saved.keys())} are missing"
        )
    return adapted


def changed_elements(model: Any) -> int:
    """The number of weights that differ in bfloat16 once the adapter is merged."""
    changed = 0
    for module in model.modules():
        if isinstance(module, LoraLayer):
            weight = module.get_base_layer().weight.detach()
            merged = weight + module.get_delta_weight("default").detach()
            changed += int((merged.bfloat16() != weight.bfloat16()).sum())
    return changed
