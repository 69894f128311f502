"""Assembles a folder to upload: model, adapter, card, benchmark, calibration, licence.

    python -m training.upload --recipe training/recipes/full.yaml

It has the layout of the published repository. The adapter is in a subfolder: with its configuration
beside the merged weights, transformers would load base + adapter instead of the merged model.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from training.base import base_folder
from training.errors import InputMissing
from training.files import (
    CALIBRATION,
    CARD,
    PLOTS,
    adapter_folder,
    metrics_name,
    model_folder,
    plot_name,
    rows_name,
    stages_of,
)
from training.recipe import Recipe
from training.stage import Job, Stage, command, stage_file

FOLDER = "repository"


def main(job: Job) -> Mapping[str, Any]:
    target = job.folder / FOLDER
    if target.exists():  # left by a killed run
        shutil.rmtree(target)
    target.mkdir()
    pairs = dict(contents(job.recipe))
    for name, source in pairs.items():
        _place(source, target / name)
    licence = _licence(job.recipe)
    if licence is None:
        job.say("upload: the base has no licence file: set card.license_file")
    else:
        _place(licence, target / "LICENSE")
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    job.say(f"upload: hf upload OWNER/NAME {target}")
    return {"files": len(pairs) + bool(licence), "gigabytes": round(size / 1e9, 2)}


def contents(recipe: Recipe) -> Iterator[tuple[str, Path]]:
    """The files' names in the folder, with their current paths."""
    for file in sorted(model_folder(recipe).iterdir()):
        yield file.name, file
    for file in sorted(adapter_folder(recipe).iterdir()):
        yield f"adapter/{file.name}", file
    for plot in PLOTS:
        yield plot_name(recipe, plot), stage_file(recipe, "card", plot_name(recipe, plot))
    for model in recipe.benchmark.models:
        for name in (rows_name(recipe, model), metrics_name(recipe, model)):
            yield f"benchmark/{name}", stage_file(recipe, "benchmark", name)
    yield CALIBRATION, stage_file(recipe, "calibrate", CALIBRATION)
    # Last, to replace a README.md in the model's folder.
    yield CARD, stage_file(recipe, "card", CARD)


def _licence(recipe: Recipe) -> Path | None:
    """The recipe's or the base's licence file; None if there is none.

    Raises:
        InputMissing: the recipe names a file that does not exist.
    """
    given = recipe.card.license_file
    if given is not None:
        if not given.is_file():
            raise InputMissing(f"card.license_file: {given} does not exist")
        return given
    return next(iter(sorted(base_folder(recipe.model).glob("LICENSE*"))), None)


def _place(source: Path, target: Path) -> None:
    """Hard-link the file if the file system allows it, otherwise copy it."""
    target.parent.mkdir(exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _inputs(recipe: Recipe) -> list[Path]:
    return [
        model_folder(recipe),
        adapter_folder(recipe),
        stage_file(recipe, "card", CARD),
        *(stage_file(recipe, stage, "manifest.json") for stage in stages_of(recipe)),
    ]


STAGE = Stage(
    name="upload",
    sections=("card", "benchmark.name", "benchmark.models"),
    inputs=_inputs,
    outputs=lambda _: [FOLDER],
    main=main,
)

if __name__ == "__main__":
    command(STAGE)
