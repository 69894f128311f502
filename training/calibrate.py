"""Calibrates the tuned model's probability of acceptance on the validation split.

python -m training.calibrate --recipe training/recipes/full.yaml

Writes ``calibration.json``, which the service loads (``REVIEWER_CALIBRATION``), ``report.json``
with the metrics before and after and the abstain band, and ``val_full.jsonl``, the reviews that
the calibration is fitted to. The metrics "after" are cross-validated.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.engine.launcher import engine_launcher
from app.engine.weights import content_of
from training.errors import InputInvalid
from training.files import CALIBRATION, CALIBRATION_REPORT, model_folder
from training.jsonl import read_rows
from training.recipe import Recipe
from training.reviewing import CACHE, Launcher, review_papers, reviewing_settings
from training.rows import PaperRow, ReviewRow, load_papers, title_key
from training.stage import Job, Stage, command, required, stage_file

REVIEWED = "val_full.jsonl"
ANALYSIS = tuple(
    f"calibrate.{key}"
    for key in (
        "label",
        "method",
        "coverages",
        "folds",
        "target_precision",
        "bootstrap",
        "confidence",
        "most",
    )
)


def calibrate_stage(launcher: Launcher = engine_launcher) -> Stage:
    """The stage; ``launcher`` starts the engine."""

    def main(job: Job) -> Mapping[str, Any]:
        from training.calibration_fit import calibrate, check_classes, predictions_of
        from training.report import labelled_papers

        options = job.recipe.calibrate
        papers = validation_papers(job.recipe)
        labelled = labelled_papers(papers, options.label)
        check_classes(labelled)
        folder = model_folder(job.recipe)
        settings = reviewing_settings(options, engine="vllm", model=str(folder))
        content = content_of(folder)
        path = job.folder / REVIEWED
        rows = review_papers(job, papers, options, launcher(settings), settings, content, path)
        return calibrate(job, options, predictions_of(labelled, rows), content)

    return Stage(
        name="calibrate",
        sections=("calibrate",),
        inputs=_inputs,
        outputs=lambda _: [CALIBRATION, CALIBRATION_REPORT, REVIEWED],
        main=main,
        keeps=(CACHE,),
        analysis=ANALYSIS,
    )


def _inputs(recipe: Recipe) -> list[Path]:
    return [
        stage_file(recipe, "collect", "papers.jsonl"),
        stage_file(recipe, "collect", "benchmark.jsonl"),
        stage_file(recipe, "filter", "val.jsonl"),
        model_folder(recipe),
    ]


def validation_papers(recipe: Recipe) -> list[PaperRow]:
    """The papers of the validation split.

    Raises:
        InputInvalid: there are none, or one of them was not collected or is in the benchmark.
    """
    path = stage_file(recipe, "filter", "val.jsonl")
    wanted = list(dict.fromkeys(row.paper for row in read_rows(path, ReviewRow)))
    required(wanted, path, "papers: the validation split is empty")
    collected = load_papers(stage_file(recipe, "collect", "papers.jsonl"))
    unknown = [paper for paper in wanted if paper not in collected]
    if unknown:
        raise InputInvalid(f"{path}: the paper {unknown[0]!r} was not collected")
    papers = [collected[paper] for paper in wanted]
    benchmark = load_papers(stage_file(recipe, "collect", "benchmark.jsonl")).values()
    ids, titles = {row.id for row in benchmark}, {title_key(row.title) for row in benchmark}
    shared = [row.id for row in papers if row.id in ids or title_key(row.title) in titles]
    if shared:
        raise InputInvalid(
            f"{path}: {len(shared)} of {len(papers)} papers are also in the benchmark, which must "
            f"not be fitted to: {shared[0]}"
        )
    return papers[: recipe.calibrate.most]


STAGE = calibrate_stage()

if __name__ == "__main__":
    command(STAGE)
