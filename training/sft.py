"""Fine-tunes the base on the reviews, with LoRA on all linear layers of the language model.

    python -m training.sft --recipe training/recipes/smoke.yaml

The model is opened by Unsloth if it and CUDA are available, otherwise by transformers and PEFT, and
trained by TRL. The loss is computed on the review only. Writes ``adapter/``. A run that was killed
resumes from its last complete checkpoint.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from training.errors import CheckFailed
from training.examples import examples_of
from training.files import ADAPTER, papers_file, split_file
from training.stage import Job, Stage, command

CHECKPOINTS = "checkpoints"
_KIB_PER_GIB = 2**20


def main(job: Job) -> Mapping[str, Any]:
    recipe, sft = job.recipe, job.recipe.sft
    # Unsloth must be imported before transformers, which the other imports here import.
    by_unsloth = uses_unsloth(sft.backend)
    if by_unsloth:
        from training.lora_unsloth import open_model
    else:
        from training.lora_trl import open_model
    import torch
    from transformers import AutoTokenizer

    from training.base import base_folder, unsloth_name
    from training.manifest import sha256_of
    from training.trainer import build_trainer, last_checkpoint
    from training.weights import check_adapted, eos_ids

    base = base_folder(recipe.model)
    tokenizer = AutoTokenizer.from_pretrained(base)
    source = unsloth_name(recipe.model, sft, base) if by_unsloth else base
    model = open_model(source, sft, job.seed)
    check_adapted(model)
    train, val = (examples_of(job, split, tokenizer, eos_ids(model)) for split in ("train", "val"))
    checkpoints = job.folder / CHECKPOINTS
    trainer = build_trainer(model, tokenizer, train, val, sft, job.seed, checkpoints)
    checkpoint = last_checkpoint(checkpoints)
    if checkpoint:
        job.say(f"sft: from {checkpoint}")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    # The base's name and not its folder on this machine: the adapter will be published.
    model.peft_config["default"].base_model_name_or_path = recipe.model.base
    # Embeddings are not trained. Without the argument, PEFT would look up the base by its name.
    model.save_pretrained(job.folder / ADAPTER, save_embedding_layers=False)
    tokenizer.save_pretrained(job.folder / ADAPTER)
    trainable, parameters = model.get_nb_trainable_parameters()
    counts = {
        "backend": "unsloth" if by_unsloth else "trl",
        "opened": str(source),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "base_sha256": sha256_of(base),
        "rows": {"train": len(train), "val": len(val)},
        "rows_with_body_cut": sum(example.cut for example in [*train, *val]),
        "parameters": parameters,
        "trainable_parameters": trainable,
        **measured(trainer.state.log_history),
        "peak_memory_gib": _peak_memory_gib(),
    }
    job.show_counts("sft", {name: value for name, value in counts.items() if name != "losses"})
    return counts


def uses_unsloth(backend: str) -> bool:
    """Whether Unsloth is to be used (``backend`` is a value of ``sft.backend``).

    Raises:
        CheckFailed: the recipe requires Unsloth and it can't run here; or transformers was already
            imported in this process.
    """
    if backend == "trl":
        return False
    import torch

    installed = importlib.util.find_spec("unsloth") is not None
    if not (installed and torch.cuda.is_available()):
        if backend == "unsloth":
            problem = (
                "is not installed: pip install '.[unsloth]'" if not installed else "needs CUDA"
            )
            raise CheckFailed(f"sft.backend is 'unsloth', which {problem}")
        return False
    if "transformers" in sys.modules and "unsloth" not in sys.modules:
        raise CheckFailed("transformers was imported before Unsloth: run the stage by its command")
    return True


def measured(log: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Losses and speed of all steps, including those before a kill, from the trainer's log."""
    steps = [entry for entry in log if "loss" in entry]
    seconds = [entry["seconds"] for entry in steps]
    return {
        "steps": len(steps),
        "first_loss": steps[0]["loss"],
        "last_loss": steps[-1]["loss"],
        "losses": [entry["loss"] for entry in steps],
        "val_losses": [entry["eval_loss"] for entry in log if "eval_loss" in entry],
        "seconds_per_step": round(median(seconds), 3),
        "tokens_per_second": round(sum(entry["tokens"] for entry in steps) / sum(seconds), 1),
    }


def _peak_memory_gib() -> float:
    """Peak memory of the GPU if there is one, otherwise of this process."""
    import torch

    if torch.cuda.is_available():
        return float(round(torch.cuda.max_memory_allocated() / 2**30, 2))
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_GIB, 2)


STAGE = Stage(
    name="sft",
    sections=("model", "sft"),
    inputs=lambda recipe: [
        papers_file(recipe),
        split_file(recipe, "train"),
        split_file(recipe, "val"),
    ],
    outputs=lambda _: [ADAPTER],
    main=main,
)

if __name__ == "__main__":
    command(STAGE)
