"""Opens the base with a new adapter using Unsloth.

NOT TESTED: Unsloth can't be imported without a GPU, and none was available. The calls follow the
sources of Unsloth 2026.10.7. The model goes through the same checks as the one of
``training.lora_trl`` (see ``training.sft``).
"""

from __future__ import annotations

# isort: off
from unsloth import FastModel  # patches transformers, trl and peft, so before all of them
# isort: on

from pathlib import Path
from typing import Any

import torch

from training.recipe import Sft


def open_model(source: Path | str, sft: Sft, seed: int) -> Any:
    """Like :func:`training.lora_trl.open_model`; ``source`` is that of :func:`unsloth_name`."""
    base, _ = FastModel.from_pretrained(
        str(source),
        max_seq_length=sft.max_length,
        dtype=torch.bfloat16,
        load_in_4bit=sft.load_in_4bit,
        text_only=False,
        use_gradient_checkpointing=_checkpointing(sft),
        random_state=seed,
    )
    return FastModel.get_peft_model(
        base,
        r=sft.lora_rank,
        lora_alpha=sft.lora_alpha,
        lora_dropout=sft.lora_dropout,
        target_modules=sft.target_modules,
        finetune_vision_layers=False,
        use_gradient_checkpointing=_checkpointing(sft),
        random_state=seed,
    )


def _checkpointing(sft: Sft) -> str | bool:
    return "unsloth" if sft.gradient_checkpointing else False
