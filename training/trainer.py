"""Builds TRL's trainer for tokenized rows, with a callback that monitors the training.

Unsloth patches what is imported here, so it must be imported before this module.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from datasets import Dataset
from safetensors import SafetensorError, safe_open
from transformers import (
    PreTrainedTokenizerFast,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from training.errors import CheckFailed
from training.examples import Example, check_columns
from training.precision import number_format
from training.recipe import Sft

_ZIPPED = ("optimizer.pt", "scheduler.pt", "rng_state.pth")
"""Files of a checkpoint that torch saves as zip archives. A truncated one has no directory."""


def build_trainer(
    model: Any,
    tokenizer: PreTrainedTokenizerFast,
    train: Sequence[Example],
    val: Sequence[Example],
    sft: Sft,
    seed: int,
    folder: Path,
) -> SFTTrainer:
    """A trainer that saves its checkpoints in ``folder``. Its prepared datasets are checked.

    Raises:
        CheckFailed: the trainer dropped or changed a row.
    """
    trainer = SFTTrainer(
        model=model,
        processing_class=tokenizer,
        train_dataset=_dataset(train),
        eval_dataset=_dataset(val) if val else None,
        callbacks=[TrainingMonitor(sft.highest_first_loss)],
        args=SFTConfig(
            output_dir=str(folder),
            num_train_epochs=sft.epochs,
            max_steps=sft.max_steps or -1,
            per_device_train_batch_size=sft.batch_size,
            per_device_eval_batch_size=sft.batch_size,
            gradient_accumulation_steps=sft.gradient_accumulation,
            learning_rate=sft.learning_rate,
            lr_scheduler_type=sft.scheduler,
            # Below 1 it is a share of all steps; transformers has no warmup_ratio any more.
            warmup_steps=sft.warmup_ratio,
            optim=sft.optimizer,
            bf16=number_format() == torch.bfloat16,
            use_cpu=not torch.cuda.is_available(),
            max_length=sft.max_length,
            gradient_checkpointing=sft.gradient_checkpointing,
            logging_steps=1,
            # TRL counts tokens in compute_loss, which Unsloth replaces.
            include_num_input_tokens_seen="non_padding",
            # TrainingMonitor must see a loss that is NaN.
            logging_nan_inf_filter=False,
            eval_strategy="epoch" if val else "no",
            # The loss before training; a resumed run has already measured it.
            eval_on_start=bool(val) and last_checkpoint(folder) is None,
            prediction_loss_only=True,
            save_strategy="steps",
            save_steps=sft.save_steps,
            save_total_limit=2,
            seed=seed,
            report_to="none",
        ),
    )
    check_columns(train, trainer.train_dataset, tokenizer, sft.max_length)
    if val:
        check_columns(val, trainer.eval_dataset, tokenizer, sft.max_length)
    return trainer


def _dataset(examples: Sequence[Example]) -> Dataset:
    return Dataset.from_list([example.columns for example in examples])


class TrainingMonitor(TrainerCallback):  # type: ignore[misc]
    """Records the seconds and tokens of each step. Stops the training if the first loss is too high
    or a loss is not finite.
    """

    def __init__(self, highest_first_loss: float) -> None:
        self._highest = highest_first_loss
        self._began = 0.0
        self._tokens = 0

    def on_train_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: Any,
    ) -> None:
        # Not 0 in a resumed run.
        self._tokens = state.num_input_tokens_seen

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._began = time.perf_counter()

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        loss = logs["loss"]
        # The log is saved in checkpoints, so a resumed run has these values.
        tokens = state.num_input_tokens_seen
        state.log_history[-1]["seconds"] = time.perf_counter() - self._began
        state.log_history[-1]["tokens"] = tokens - self._tokens
        self._tokens = tokens
        if not math.isfinite(loss):
            raise CheckFailed(f"step {state.global_step}: the loss is {loss}")
        if state.global_step == 1 and loss > self._highest:
            raise CheckFailed(
                f"the first loss is {loss:.2f}, above sft.highest_first_loss {self._highest:g}: "
                "the base seems to be randomly initialised; check that its weights, its tokenizer "
                "and its chat template belong together"
            )


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; one that was interrupted by a kill is skipped."""
    found = [path for path in folder.glob("checkpoint-*") if _is_whole(path)]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def _is_whole(checkpoint: Path) -> bool:
    try:
        # The trainer writes this file last.
        json.loads((checkpoint / "trainer_state.json").read_bytes())
        with safe_open(checkpoint / "adapter_model.safetensors", framework="pt"):
            return all(is_zipfile(checkpoint / name) for name in _ZIPPED)
    except (OSError, ValueError, SafetensorError):
        return False
