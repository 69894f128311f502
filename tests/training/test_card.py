"""The model card, from a run whose benchmark came out as the published one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from huggingface_hub import ModelCard

from app.review.decision import Decision
from tests.training.recipes import recipe_file
from tests.training.reviewed import paper, written
from training.card import STAGE
from training.errors import InputMissing
from training.files import PLOTS
from training.recipe import Benchmark
from training.report import TextBaselines, labelled_papers, report
from training.rows import PaperRow, ReviewedRow
from training.stage import run_stage
from training.upload import STAGE as UPLOAD

PUBLISHED = {"tuned": (74, 12, 6, 3), "base": (67, 12, 13, 3)}
"""TP, FP, FN, TN."""
BENCHMARK_FILES = ("full.jsonl", "metrics.json")
BENCHMARK = {"bootstrap": 100, "base_read_until": 2024}


def papers() -> list[PaperRow]:
    return [paper(i, decision="accept" if i < 80 else "reject", told=0.5) for i in range(95)]


def reviews(tp: int, fp: int, fn: int, tn: int) -> list[ReviewedRow]:
    decisions: list[Decision] = [
        *("accept" if i < tp else "reject" for i in range(tp + fn)),
        *("accept" if i < fp else "reject" for i in range(fp + tn)),
    ]
    return [
        ReviewedRow(
            paper=row.id,
            venue=row.venue,
            title=row.title,
            official=row.decision,
            mean_rating=row.mean_rating,
            model="model",
            decision=decision,
            decided_by="review_line",
            probability=None,
            samples=(),
            text="",
            finish_reason="stop",
            prompt_tokens=1,
            completion_tokens=1,
            cached_tokens=0,
            truncated=0,
            seconds=0.1,
            key="",
        )
        for row, decision in zip(papers(), decisions, strict=True)
    ]


def metrics() -> dict[str, Any]:
    tuned, base = (reviews(*counts) for counts in PUBLISHED.values())
    text_baselines = TextBaselines("not fitted here", "not fitted here", "nothing here")
    options = Benchmark.model_validate(BENCHMARK)
    of = labelled_papers(papers(), options.label)
    return {
        "benchmark": "peerread",
        **report(of, tuned, text_baselines, base, options, seed=42),
        "leaks": {"benchmark": {"papers": 95, "accepted": 80, "reason": "too few"}},
        "as_served": {"mode": "review", "review_format": "structured", "top_k": None},
    }


def calibrated(suggested: dict[str, Any] | None) -> dict[str, Any]:
    figure = {"value": 0.2, "low": 0.1, "high": 0.3}
    return {
        "calibration": {
            "map": {"method": "platt"},
            "mode": "review",
            "format": "structured",
            "fitted_on": {
                "papers": 100,
                "accepted": 72,
                "before": {"brier": figure},
                "after": {"brier": {**figure, "value": 0.15}},
            },
        },
        "disagreement": {
            "papers": 7,
            "of": 100,
            "decision_right": 3,
            "probability_right": 4,
        },
        "abstain": {"target_precision": 0.8, "suggested": suggested},
    }


def finished_run(folder: Path) -> Path:
    recipe = recipe_file(
        folder,
        benchmark=BENCHMARK,
        card={
            "title": "Reviewer: a test",
            "license": "apache-2.0",
            "license_file": str(folder / "LICENCE.txt"),
        },
        model={"base": "owner/base"},
    )
    band = {"band": {"low": 0.4, "high": 0.6}, "coverage": 0.7, "precision": 0.85}
    written(recipe, "collect", {"papers.jsonl": papers()})
    written(recipe, "filter", {"train.jsonl": [1, 2, 3]})
    adapter = {"adapter/adapter_model.safetensors": [0]}
    written(recipe, "sft", adapter, sections=["model", "sft"])
    (folder / "LICENCE.txt").write_text("Do what you want.")
    written(recipe, "merge", {"model/config.json": [{}]})
    plots: dict[str, list[Any]] = {f"peerread_{plot}.png": [0] for plot in PLOTS}
    reviewed: dict[str, list[Any]] = {
        f"peerread_{m}_{f}": [{}] for m in ("ft", "base") for f in BENCHMARK_FILES
    }
    reviewed["peerread_ft_metrics.json"] = [metrics()]
    written(recipe, "benchmark", {**reviewed, **plots})
    files: dict[str, list[Any]] = {"report.json": [calibrated(band)], "calibration.json": [{}]}
    written(recipe, "calibrate", files)
    return recipe


def test_the_card_has_the_published_table_beside_always_accept(tmp_path: Path) -> None:
    run_stage(STAGE, finished_run(tmp_path))
    text = (tmp_path / "out/card/README.md").read_text()
    worth = text.partition("## Leaks and contamination")[0]
    lines = {line.split(" | ")[0].lstrip("| "): line for line in worth.splitlines() if "|" in line}
    header = text.splitlines()[_line_of(text, "| | tuned")]
    assert [c.strip() for c in header.split("|")[2:-1]] == [
        "tuned",
        "base model",
        "always accept",
        "same rate random",
    ]
    expected = {
        "f1": ("0.892", "0.843", "0.914"),
        "accuracy": ("0.811", "0.737", "0.842"),
        "precision": ("0.860", "0.848", "0.842"),
        "recall": ("0.925", "0.838", "1.000"),
        "accept rate": ("0.905", "0.832", "1.000"),
    }
    for name, values in expected.items():
        cells = [cell.strip() for cell in lines[name].split("|")[2:5]]
        assert [cell[:5] for cell in cells] == list(values), name
    assert "F1 is no higher than that of accepting every paper: 0.892 against 0.914" in text
    assert "| auroc | undefined: no paper has a probability |" in text
    assert "95 papers of `peerread`, of which 80 count as accepted (84.2%)" in text
    assert "the venue's official decision" in text
    assert "between 0.4 and 0.6, it decides on 70% of those papers, 85% of them correctly" in text
    assert "| train.jsonl | 3 |" in text
    assert "| lora_rank | 32 |" in text
    assert "- benchmark: not tested for leaks: too few." in text
    assert "those of ICLR 2017 to 2021" in text
    assert "This base may have read papers up to 2024." in text
    assert "The newest papers alone (2017, 95 papers):" in text
    assert "the decision was right 3 times, the probability 4 times" in text
    assert "| review_format | structured |" in text
    assert "top_k" not in text
    assert "Seconds per stage: collect " in text
    assert "{{" not in text
    assert "None" not in text
    # A bar in a cell would end it.
    assert r"(self_attn\|mlp)" in text


def _line_of(text: str, start: str) -> int:
    return next(i for i, line in enumerate(text.splitlines()) if line.startswith(start))


def test_the_card_is_in_the_hub_s_format(tmp_path: Path) -> None:
    run_stage(STAGE, finished_run(tmp_path))
    path = tmp_path / "out/card/README.md"
    card = ModelCard.load(path)
    assert (card.data.license, card.data.base_model) == ("apache-2.0", "owner/base")
    found = {result.metric_type: result for result in card.data.eval_results or ()}
    assert found["f1"].metric_value == pytest.approx(0.8916, abs=1e-4)
    assert found["f1"].metric_name == "f1 (accepting every paper: 0.914)"
    assert "auroc" not in found
    header = yaml.safe_load(path.read_text().split("---")[1])
    assert header["pipeline_tag"] == "text-generation"
    for plot in PLOTS:
        assert (path.parent / f"peerread_{plot}.png").exists()


def test_the_folder_to_upload_has_everything(tmp_path: Path) -> None:
    recipe = finished_run(tmp_path)
    run_stage(STAGE, recipe)
    run_stage(UPLOAD, recipe)
    folder = tmp_path / "out/upload/repository"
    found = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    assert found == {
        "README.md",
        "LICENSE",
        "config.json",
        "calibration.json",
        "adapter/adapter_model.safetensors",
        *(f"peerread_{plot}.png" for plot in PLOTS),
        *(f"benchmark/peerread_{m}_{f}" for m in ("ft", "base") for f in BENCHMARK_FILES),
    }
    assert (folder / "README.md").read_text() == (tmp_path / "out/card/README.md").read_text()
    assert (folder / "LICENSE").read_text() == "Do what you want."


def test_a_licence_that_is_not_there_is_told(tmp_path: Path) -> None:
    recipe = finished_run(tmp_path)
    run_stage(STAGE, recipe)
    (tmp_path / "LICENCE.txt").unlink()
    with pytest.raises(InputMissing, match=r"card\.license_file: .* does not exist"):
        run_stage(UPLOAD, recipe)


def test_a_card_waits_for_all_stages(tmp_path: Path) -> None:
    recipe = finished_run(tmp_path)
    (tmp_path / "out/sft/manifest.json").unlink()
    with pytest.raises(InputMissing, match=r"training\.sft first"):
        run_stage(STAGE, recipe)
