"""Merges the adapter into the base, and compares the copy on the disk with base + adapter.

    python -m training.merge --recipe training/recipes/smoke.yaml

Merged in float32, saved in bfloat16, read back. How far the copy's next-token distributions are
from those of base + adapter in float32 is held against the noise floor: how far base + adapter,
not merged, is from itself once it is computed in bfloat16. Where vLLM is installed, it must
write the same greedy answers as transformers. Leaves ``model/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.splits import adapter_folder, papers_file, split_file
from training.stage import Job, Stage, command

MODEL = "model"


def main(job: Job) -> Mapping[str, Any]:
    from training.merging import merge

    return merge(job, job.folder / MODEL)


STAGE = Stage(
    name="merge",
    sections=("model", "sft", "merge"),
    inputs=lambda recipe: [
        papers_file(recipe),
        split_file(recipe, "train"),
        split_file(recipe, "val"),
        adapter_folder(recipe),
    ],
    outputs=lambda _: [MODEL],
    main=main,
)

if __name__ == "__main__":
    command(STAGE)
