"""What a stage needs of memory at least, by the base's own files: said before it begins."""

from __future__ import annotations

from pathlib import Path

from app.errors import ReviewerError
from training.base import base_folder
from training.errors import TrainingError
from training.recipe import Recipe

_GIB = 2**30
_LIBRARIES = 1.0
"""GiB of torch, transformers and the rest."""
_BYTES_IN_4_BIT = 0.6
"""Of a parameter, quantization constants and what is left whole included."""
_READERS = 2
"""Processes that read PDFs, each with 2 GiB at most."""


def needs(stage: str, recipe: Recipe) -> str:
    """A sentence; empty for a stage that needs little."""
    if stage == "collect":
        return f"up to {2 * _READERS} GiB of main memory while PDFs are read"
    if stage not in ("sft", "merge", "benchmark", "calibrate"):
        return ""
    parameters = _parameters(recipe)
    if parameters is None:
        return "the base is not on this machine yet: what it needs is known once it is"
    if stage == "merge":
        need = parameters * 6 / _GIB + _LIBRARIES
        return f"about {need:.1f} GiB of main memory: the base in float32, and a half more"
    name, each = _number_format()
    if stage == "sft":
        if recipe.sft.load_in_4bit:
            name, each = "4 bit", _BYTES_IN_4_BIT
        need = parameters * each / _GIB + _LIBRARIES
        return (
            f"at least {need:.1f} GiB, on the GPU where there is one: {parameters / 1e9:.2f} "
            f"billion parameters in {name}; what "
            f"sft.max_length {recipe.sft.max_length} and sft.batch_size {recipe.sft.batch_size} "
            "take comes on top: halve max_length where it does not fit"
        )
    need = parameters * each / _GIB + _LIBRARIES
    return (
        f"at least {need:.1f} GiB, on the GPU where there is one: weights in {name}; the KV "
        "cache comes on top (REVIEWER_GPU_MEMORY_UTILIZATION, REVIEWER_CPU_KV_CACHE_GIB)"
    )


def _number_format() -> tuple[str, float]:
    """Its name, and bytes of a parameter."""
    from training.precision import number_format  # torch takes seconds

    dtype = number_format()
    return str(dtype).removeprefix("torch."), dtype.itemsize


def _parameters(recipe: Recipe) -> float | None:
    """By the size of the weights, 2 bytes each; None where they are not at hand."""
    if recipe.model.base.count("/") == 1 and not Path(recipe.model.base).is_dir():
        return None  # a hub id: asking for its folder would fetch it
    try:
        folder = base_folder(recipe.model)
    except (TrainingError, ReviewerError):
        return None  # the stage itself says so
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) / 2
