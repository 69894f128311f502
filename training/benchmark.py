"""Reviews the benchmark's papers with the service's code, and measures the decisions.

python -m training.benchmark --recipe training/recipes/full.yaml

For the tuned and the base model (``ft``, ``base``) it writes ``<name>_<model>_full.jsonl`` with a
row for each paper, ``<name>_<model>_metrics.json``, and three plots. A run that was killed
continues with the reviews that it had finished.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.engine.launcher import engine_launcher
from app.engine.weights import content_of
from app.settings import Settings
from training.base import base_folder
from training.files import PLOTS, metrics_name, model_folder, plot_name, rows_name
from training.recipe import Recipe
from training.reviewing import CACHE, Launcher, as_served, review_papers, reviewing_settings
from training.rows import PaperRow, ReviewedRow, load_papers
from training.stage import Job, Stage, command, required, stage_file

if TYPE_CHECKING:
    from training.report import LabelledPapers


ANALYSIS = tuple(
    f"benchmark.{key}"
    for key in (
        "label",
        "baselines_from",
        "bootstrap",
        "confidence",
        "length_classes",
        "most",
        "base_read_until",
    )
)
"""Recipe keys that the reviews do not depend on."""


def benchmark_stage(launcher: Launcher = engine_launcher) -> Stage:
    """The stage; ``launcher`` starts the engines."""

    def main(job: Job) -> Mapping[str, Any]:
        from training.report import labelled_papers
        from training.results import write_results

        options = job.recipe.benchmark
        papers = _papers(job.recipe)
        labelled = labelled_papers(papers, options.label)
        reviewed: dict[str, Sequence[ReviewedRow]] = {}
        served: dict[str, Mapping[str, Any]] = {}
        # "base" comes before "tuned", whose report compares itself with the base.
        for model in sorted(options.models):
            settings = _settings(job.recipe, model)
            path = job.folder / rows_name(job.recipe, model)
            reviewed[model] = review_papers(
                job, papers, options, launcher(settings), settings, _content(settings), path
            )
            served[model] = as_served(options, settings)
        return write_results(job, labelled, _train(job.recipe), reviewed, served)

    return Stage(
        name="benchmark",
        sections=("model", "benchmark"),
        inputs=_inputs,
        outputs=_outputs,
        main=main,
        keeps=(CACHE,),
        analysis=ANALYSIS,
    )


def _content(settings: Settings) -> str:
    """What identifies the model: its weights' fingerprint, or an upstream's URL and model name."""
    if settings.engine == "upstream":
        return f"{settings.upstream_url} {settings.model}"
    return content_of(Path(settings.model))


def _papers(recipe: Recipe) -> list[PaperRow]:
    path = stage_file(recipe, "collect", "benchmark.jsonl")
    papers = list(load_papers(path).values())[: recipe.benchmark.most]
    return list(required(papers, path, "papers"))


def _train(recipe: Recipe) -> LabelledPapers | None:
    from training.report import labelled_papers

    if recipe.benchmark.baselines_from == "benchmark":
        return None
    path = stage_file(recipe, "collect", "papers.jsonl")
    return labelled_papers(list(load_papers(path).values()), recipe.benchmark.label)


def _inputs(recipe: Recipe) -> list[Path]:
    options = recipe.benchmark
    paths = [
        stage_file(recipe, "collect", name)
        for name in ("benchmark.jsonl", "papers.jsonl", "leaks.json")
    ]
    if "tuned" in options.models and options.upstream_url is None:
        paths.append(model_folder(recipe))
    return paths


def _outputs(recipe: Recipe) -> list[str]:
    models = recipe.benchmark.models
    return [
        *(rows_name(recipe, model) for model in models),
        *(metrics_name(recipe, model) for model in models),
        *(plot_name(recipe, plot) for plot in PLOTS),
    ]


def _settings(recipe: Recipe, model: str) -> Settings:
    options = recipe.benchmark
    if options.upstream_url is not None:
        return reviewing_settings(
            options,
            engine="upstream",
            upstream_url=options.upstream_url,
            model=options.upstream_model,
            upstream_tokenizer=str(base_folder(recipe.model, tokenizer_only=True)),
        )
    folder = model_folder(recipe) if model == "tuned" else base_folder(recipe.model)
    return reviewing_settings(options, engine="vllm", model=str(folder))


STAGE = benchmark_stage()

if __name__ == "__main__":
    command(STAGE)
