"""Opens the base with a new adapter using transformers and PEFT: on a CPU, or without Unsloth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import BitsAndBytesConfig, set_seed

from training.errors import CheckFailed
from training.precision import number_format
from training.recipe import Sft
from training.weights import first_lines, load_model


def open_model(source: Path | str, sft: Sft, seed: int) -> Any:
    """The base with a new, untrained adapter.

    Raises:
        InputInvalid: the base can't be loaded.
        CheckFailed: ``target_modules`` matches nothing, or a layer that can't have an adapter.
    """
    quantization = _four_bit() if sft.load_in_4bit else None
    base = load_model(Path(source), number_format(), quantization)
    set_seed(seed)
    adapter = LoraConfig(
        r=sft.lora_rank,
        lora_alpha=sft.lora_alpha,
        lora_dropout=sft.lora_dropout,
        target_modules=sft.target_modules,
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(base, adapter)
    except ValueError as error:
        raise CheckFailed(f"sft.target_modules: {first_lines(error)}") from error


def _four_bit() -> BitsAndBytesConfig:
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
