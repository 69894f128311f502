"""The model's shape, and the numbers and lengths of papers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.numpy import save_file

from app.settings import Settings
from benchmarks.gemma4 import e4b, tiny, write_folder


@dataclass(frozen=True)
class Shape:
    """A model and a load. ``reviews`` are written at each of the ``levels`` of concurrency."""

    name: str
    max_model_len: int
    shortest: int
    longest: int
    """Tokens of a prompt, its chat template included; the papers' lengths lie evenly between."""
    review_tokens: int
    papers: int
    levels: dict[int, int]
    """Reviews at the same time, and how many in all."""
    at_once: int
    """Reviews at the same time where that is not what is compared."""
    rounds: int
    start_s: float
    """Longest that an engine may take to start."""


E4B = Shape(
    name="e4b",
    max_model_len=12288,
    # The published benchmark's: half of its 95 papers have more than 8,300, none more than 10,888.
    shortest=5712,
    longest=10888,
    review_tokens=700,
    papers=95,
    levels={1: 3, 4: 8, 16: 48, 64: 95},
    at_once=16,
    rounds=2,
    start_s=240,
)
TINY = Shape(
    name="tiny",
    max_model_len=2048,
    shortest=600,
    longest=900,
    review_tokens=280,
    papers=4,
    levels={1: 1, 2: 2},
    at_once=2,
    rounds=1,
    start_s=300,
)


def model_folder(shape: Shape, folder: Path) -> Path:
    """A folder that loads with ``--load-format dummy``; speed does not depend on the weights."""
    write_folder(folder, e4b() if shape is E4B else tiny())
    # The service checks that all weights of a folder exist; here there are none.
    save_file({}, folder / "model.safetensors")
    return folder


def settings_for(shape: Shape, folder: Path, vllm_args: str, *, eager: bool | None) -> Settings:
    """The published settings of the engine; on a CPU, less of everything."""
    return Settings(
        model=str(folder),
        max_model_len=shape.max_model_len,
        cpu_kv_cache_gib=0.5,
        enforce_eager=eager,
        vllm_args=f"--load-format dummy {vllm_args}".strip(),
        data_dir=folder.with_name("data"),
    )
