"""Opens base + adapter, and refuses an adapter that is another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open

from training.errors import InputInvalid
from training.weights import load_model

_WEIGHTS = "adapter_model.safetensors"


def open_adapted(base: Path, adapter: Path, dtype: torch.dtype) -> Any:
    """The base with the adapter on it, not merged, the whole of it in ``dtype``.

    Raises:
        InputInvalid: the adapter is damaged, or is one for another model.
    """
    model = load_model(base, dtype)
    try:
        with safe_open(adapter / _WEIGHTS, framework="pt") as file:
            saved = set(file.keys())
        adapted = PeftModel.from_pretrained(model, adapter, autocast_adapter_dtype=False)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputInvalid(f"the adapter in {adapter} does not go on the base: {error}") from error
    expected = set(get_peft_model_state_dict(adapted))
    if saved != expected:
        raise InputInvalid(
            f"the adapter in {adapter} is for another model: {len(saved - expected)} of its "
            f"tensors have no place, {len(expected - saved)} are missing"
        )
    # No .to(dtype), which would round the rotary frequencies as well.
    return adapted


def changed_elements(model: Any) -> int:
    """How many weights the adapter changes by more than bfloat16 rounds away."""
    changed = 0
    for module in model.modules():
        if isinstance(module, LoraLayer):
            weight = module.get_base_layer().weight.detach()
            merged = weight + module.get_delta_weight("default").detach()
            changed += int((merged.bfloat16() != weight.bfloat16()).sum())
    return changed
