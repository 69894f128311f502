"""Merges the adapter into the base, and compares the saved model with base + adapter.

    python -m training.merge --recipe training/recipes/smoke.yaml

The weights are merged in float32, saved in bfloat16, and loaded again. The KL divergence of the
saved model from base + adapter in float32 is compared with the noise floor: the divergence of
base + adapter in bfloat16. If vLLM is installed, it must give the same greedy answers as
transformers. Writes ``model/``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.files import adapter_folder, papers_file, split_file
from training.stage import Job, Stage, command

MODEL = "model"


def main(job: Job) -> Mapping[str, Any]:
    from training.merge_model import merge

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
