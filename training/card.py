"""Writes the model card, in Hugging Face's format, from the manifests and metrics of a run.

python -m training.card --recipe training/recipes/full.yaml

Writes ``README.md`` and copies the benchmark's plots. Every number comes from a manifest or metrics
file, and F1 is always shown beside that of accepting every paper.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from training.errors import InputInvalid
from training.files import (
    CALIBRATION,
    CALIBRATION_REPORT,
    CARD,
    PLOTS,
    metrics_name,
    plot_name,
    stages_of,
)
from training.manifest import FILE, Manifest, read_manifest, write_atomically
from training.recipe import Recipe
from training.stage import Job, Stage, command, stage_file

TEMPLATE = Path(__file__).with_name("card.jinja.md")
ROWS = (
    "f1",
    "accuracy",
    "precision",
    "recall",
    "accept_rate",
    "balanced_accuracy",
    "mcc",
    "kappa",
    "rejection_f1",
    "auroc",
    "auroc_length_matched",
    "brier",
    "calibration_error",
    "unparsed_rate",
)
VENUE_ROWS = ("f1", "accuracy", "balanced_accuracy", "accept_rate")
NEWEST_ROWS = ("auroc", "balanced_accuracy", "mcc", "accept_rate")
EVALUATED = ("f1", "accuracy", "balanced_accuracy", "mcc", "auroc")
"""The metrics in the card's machine-readable results, if they are defined."""
BESIDE = ("base_model", "always_accept", "same_rate_random", "length_only", "bag_of_words")
_ABOUT_PLOTS = {
    "calibration": "Reliability diagram",
    "roc": "ROC",
    "accept_rate": "Accept rates by venue, true and predicted",
}


def main(job: Job) -> Mapping[str, Any]:
    recipe = job.recipe
    manifests: dict[str, Manifest] = {
        stage: read_manifest(recipe.folder(stage), stage) for stage in stages_of(recipe)
    }
    metrics = _json(metrics_file(recipe))
    calibration = _json(stage_file(recipe, "calibrate", CALIBRATION_REPORT))
    card = ModelCard.from_template(
        _card_data(recipe, metrics),
        template_path=str(TEMPLATE),
        **_about_run(recipe, manifests),
        **_about_worth(metrics),
        **_about_reading(metrics),
        hardware=_about_hardware(manifests),
        calibration=_about_calibration(calibration),
        plots=[{"file": plot_name(recipe, plot), "about": _ABOUT_PLOTS[plot]} for plot in PLOTS],
    )
    for plot in PLOTS:
        name = plot_name(recipe, plot)
        shutil.copyfile(stage_file(recipe, "benchmark", name), job.folder / name)
    write_atomically(job.folder / CARD, str(card))
    job.say(f"card: {job.folder / CARD}")
    return {"figures": len(ROWS), "stages": len(manifests)}


def _about_reading(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The sections on leaks, on contamination, and on the settings of the reviews."""
    from training.leaks import leak_summary

    contamination = metrics["contamination"]
    newest = contamination.get("newest")
    return {
        "leaks": {name: leak_summary(found) for name, found in metrics["leaks"].items()},
        "contamination": _sentence(contamination["about"]),
        "read_until": contamination["base_read_until"],
        "newest": newest
        and {
            "year": newest["year"],
            "papers": newest["papers"],
            "rows": [
                [name.replace("_", " "), _cell(newest["figures"][name])] for name in NEWEST_ROWS
            ],
        },
        "served": {
            name: value for name, value in metrics["as_served"].items() if value not in (None, "")
        },
    }


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _about_hardware(manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    sft = manifests["sft"].counts
    return {
        "device": sft.get("device", "not recorded"),
        "memory": sft.get("peak_memory_gib"),
        "seconds": {stage: round(manifest.seconds) for stage, manifest in manifests.items()},
    }


def metrics_file(recipe: Recipe) -> Path:
    return stage_file(recipe, "benchmark", metrics_name(recipe, "tuned"))


def _inputs(recipe: Recipe) -> list[Path]:
    return [
        *(stage_file(recipe, stage, FILE) for stage in stages_of(recipe)),
        metrics_file(recipe),
        stage_file(recipe, "calibrate", CALIBRATION_REPORT),
        stage_file(recipe, "calibrate", CALIBRATION),
    ]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise InputInvalid(f"{path} is not valid JSON: {error}") from error


def _card_data(recipe: Recipe, metrics: Mapping[str, Any]) -> ModelCardData:
    stamp = metrics["baselines"]["always_accept"]["figures"]
    results = [
        EvalResult(
            task_type="text-classification",
            task_name="Predicting the decision on a paper",
            dataset_type=metrics["benchmark"],
            dataset_name=f"{metrics['benchmark']}, {metrics['papers']} papers",
            metric_type=name,
            metric_value=metrics["figures"][name]["value"],
            metric_name=f"{name} (accepting every paper: {_bare(stamp[name])})",
        )
        for name in EVALUATED
        if metrics["figures"][name]["value"] is not None
    ]
    return ModelCardData(
        license=recipe.card.license,
        language=recipe.card.language,
        base_model=recipe.model.base,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=list(recipe.card.tags),
        model_name=recipe.card.title,
        eval_results=results,
    )


def _about_run(recipe: Recipe, manifests: Mapping[str, Manifest]) -> dict[str, Any]:
    sft = manifests["sft"]
    return {
        "title": recipe.card.title,
        "run": recipe.run.name,
        "base": recipe.model.base,
        "revision": recipe.model.revision,
        "seed": sft.made_from.recipe["seed"],
        "commit": sft.commit,
        "versions": [f"{name} {version}" for name, version in sft.versions.items()],
        "training": {
            name: str(value).replace("|", r"\|")
            for name, value in sft.made_from.recipe["sft"].items()
            if value is not None
        },
        "stages": [
            {"name": stage, "counts": _short(manifests[stage].counts)}
            for stage in manifests
            if stage not in ("benchmark", "calibrate")
        ],
    }


def _short(counts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested counts with their paths as names, without lists."""
    flat: dict[str, Any] = {}
    for name, value in counts.items():
        if isinstance(value, dict):
            flat |= _short(value, f"{prefix}{name}, ")
        elif not isinstance(value, list):
            flat[f"{prefix}{name}"] = value
    return flat


def _about_worth(metrics: Mapping[str, Any]) -> dict[str, Any]:
    beside = {
        name: metrics["baselines"][name]["figures"]
        for name in BESIDE
        if metrics["baselines"].get(name, {}).get("figures")
    }
    columns = {"tuned": metrics["figures"], **beside}
    label, bootstrap = metrics["label"], metrics["bootstrap"]
    return {
        "benchmark": metrics["benchmark"],
        "papers": metrics["papers"],
        "accepted": metrics["accepted"],
        "accept_share": f"{metrics['accepted'] / metrics['papers']:.1%}",
        "label": _label(label),
        "unlabelled": metrics["unlabelled"],
        "confidence": f"{bootstrap['confidence']:.0%}",
        "resamples": bootstrap["resamples"],
        "columns": [name.replace("_", " ") for name in columns],
        "figures": [
            [name.replace("_", " "), *(_cell(figures[name]) for figures in columns.values())]
            for name in ROWS
        ],
        "notes": _notes(metrics, beside),
        "venue_columns": ["papers", "accepted", *(n.replace("_", " ") for n in VENUE_ROWS)],
        "venues": [
            [venue, of["papers"], of["accepted"], *(_cell(of["figures"][n]) for n in VENUE_ROWS)]
            for venue, of in metrics["venues"].items()
        ],
    }


def _label(label: Mapping[str, Any]) -> str:
    if label["source"] == "official":
        return "the venue's official decision"
    thresholds = ", ".join(f"{value:g} ({venue})" for venue, value in label["thresholds"].items())
    return f"a mean rating of at least {thresholds}"


def _notes(metrics: Mapping[str, Any], beside: Mapping[str, Any]) -> list[str]:
    about = metrics["about"]
    own, stamp = metrics["figures"]["f1"]["value"], beside["always_accept"]["f1"]["value"]
    notes = []
    if own is not None and stamp is not None:
        than = "higher than" if own > stamp else "no higher than"
        notes.append(
            f"Its F1 is {than} that of accepting every paper: {own:.3f} against {stamp:.3f}."
        )
    notes += [f"{name.replace('_', ' ')}: {about[name]}." for name in beside if name in about]
    notes.append(f"AUROC, length matched: {about['auroc_length_matched']}.")
    notes.append(f"Unparsed: {about['unparsed']}.")
    notes.append(f"Length and words were fitted to {metrics['baselines_fitted_to']}.")
    return notes


def _about_calibration(report: Mapping[str, Any]) -> dict[str, Any]:
    fitted_on = report["calibration"]["fitted_on"]
    before, after = fitted_on["before"], fitted_on["after"]
    abstain = report["abstain"]
    chosen, target = abstain["suggested"], abstain["target_precision"]
    if chosen is None:
        band = f"No band of undecided papers brings the share of correct decisions to {target:.0%}."
    elif chosen["band"] is None:
        band = f"{chosen['precision']:.0%} of its decisions there are correct, without a band."
    else:
        band = (
            f"Left undecided between {chosen['band']['low']} and {chosen['band']['high']}, it "
            f"decides on {chosen['coverage']:.0%} of those papers, {chosen['precision']:.0%} of "
            "them correctly."
        )
    return {
        "method": report["calibration"]["map"]["method"],
        "papers": fitted_on["papers"],
        "accepted": fitted_on["accepted"],
        "rows": [
            [name.replace("_", " "), _cell(before[name]), _cell(after[name])] for name in before
        ],
        "band": band,
        "disagreement": report["disagreement"],
        "mode": report["calibration"]["mode"],
        "format": report["calibration"]["format"],
    }


def _cell(figure: Mapping[str, Any]) -> str:
    if figure["value"] is None:
        return f"undefined: {figure['reason']}"
    if figure["low"] is None:
        return _bare(figure)
    return f"{_bare(figure)} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _bare(figure: Mapping[str, Any]) -> str:
    return "undefined" if figure["value"] is None else f"{figure['value']:.3f}"


def _outputs(recipe: Recipe) -> Sequence[str]:
    return [CARD, *(plot_name(recipe, plot) for plot in PLOTS)]


STAGE = Stage(
    name="card",
    sections=("run", "model", "card"),
    inputs=_inputs,
    outputs=_outputs,
    main=main,
)

if __name__ == "__main__":
    command(STAGE)
