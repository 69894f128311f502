"""Estimates the minimum memory of a stage from the base's files, to be shown before it starts."""

from __future__ import annotations

from pathlib import Path

from app.errors import ReviewerError
from training.base import base_folder
from training.errors import TrainingError
from training.recipe import Recipe

_GIB = 2**30
_LIBRARIES = 1.0
"""GiB used by torch, transformers and other libraries."""
_BYTES_IN_4_BIT = 0.6
"""Bytes per parameter, including quantization constants and layers that are not quantized."""
_READERS = 2
"""Number of processes that read PDFs, each limited to 2 GiB."""


def needs(stage: str, recipe: Recipe) -> str:
    """One sentence; empty for a stage that needs little memory."""
    if stage == "collect":
        return f"up to {2 * _READERS} GiB of main memory while PDFs are read"
    if stage not in ("sft", "merge", "benchmark", "calibrate"):
        return ""
    parameters = _parameters(recipe)
    if parameters is None:
        return "unknown until the base model has been downloaded"
    if stage == "merge":
        need = parameters * 6 / _GIB + _LIBRARIES
        return f"about {need:.1f} GiB of main memory: 1.5 times the base in float32"
    name, each = _number_format()
    if stage == "sft":
        if recipe.sft.load_in_4bit:
            name, each = "4 bit", _BYTES_IN_4_BIT
        need = parameters * each / _GIB + _LIBRARIES
        return (
            f"at least {need:.1f} GiB, on the GPU if there is one: {parameters / 1e9:.2f} "
            f"billion parameters in {name}; sft.max_length {recipe.sft.max_length} and "
            f"sft.batch_size {recipe.sft.batch_size} need more on top: halve max_length if memory "
            "runs out"
        )
    need = parameters * each / _GIB + _LIBRARIES
    return (
        f"at least {need:.1f} GiB, on the GPU if there is one: weights in {name}; the KV cache "
        "needs more on top (REVIEWER_GPU_MEMORY_UTILIZATION, REVIEWER_CPU_KV_CACHE_GIB)"
    )


def _number_format() -> tuple[str, float]:
    """The name of the number format, and its bytes per parameter."""
    from training.precision import number_format  # torch takes seconds

    dtype = number_format()
    return str(dtype).removeprefix("torch."), dtype.itemsize


def _parameters(recipe: Recipe) -> float | None:
    """The number of parameters, from the size of the weights at 2 bytes each; None if the weights
    are not on this machine.
    """
    if recipe.model.base.count("/") == 1 and not Path(recipe.model.base).is_dir():
        return None  # a hub id: base_folder would download it
    try:
        folder = base_folder(recipe.model)
    except (TrainingError, ReviewerError):
        return None  # the stage reports it
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 2
