"""The calibrate stage with an engine double, and the maps that it fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engine.tokenizer import ChatTokenizer
from app.engine.weights import content_of
from app.review.calibration import Isotonic, Platt, Temperature, load_calibration
from app.review.decision import Decision
from tests.training.recipes import recipe_file
from tests.training.reviewed import ReadingEngine, launcher, merged, paper, target, written
from training.calibrate import calibrate_stage
from training.calibration_maps import (
    Method,
    Predictions,
    band_table,
    disagreement,
    fitted,
    out_of_fold,
    suggested_band,
)
from training.errors import CheckFailed, InputInvalid
from training.rows import PaperRow
from training.stage import run_stage

FEW = {"bootstrap": 100, "concurrency": 1, "folds": 4}


def overconfident(count: int, seed: int = 0) -> Predictions:
    """A model whose logits are three times too large."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0.5, 1.2, count)
    accepted = generator.random(count) < 1 / (1 + np.exp(-logits))
    told = 1 / (1 + np.exp(-3 * logits))
    decisions: list[Decision | None] = ["accept" if p >= 0.5 else "reject" for p in told]
    return Predictions("double", accepted.tolist(), told.tolist(), decisions)


def test_temperature_and_platt_find_what_was_done_to_the_probabilities() -> None:
    told = overconfident(4000)
    found, note = fitted("temperature", told.probabilities, told.accepted)
    assert isinstance(found, Temperature)
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert not note
    found, _ = fitted("platt", told.probabilities, told.accepted)
    assert isinstance(found, Platt)
    assert found.slope == pytest.approx(1 / 3, rel=0.1)
    assert found.intercept == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic"])
def test_every_map_lessens_the_error_out_of_fold(method: Method) -> None:
    told = overconfident(400)
    found, _ = fitted(method, told.probabilities, told.accepted)
    assert type(found).model_validate_json(found.model_dump_json()) == found
    after = out_of_fold(method, told, 5, seed=0)
    accepted = np.array(told.accepted)
    brier = {
        when: float(np.mean((np.array(p) - accepted) ** 2))
        for when, p in (("before", told.probabilities), ("after", after))
    }
    assert brier["after"] < brier["before"] - 0.01


def test_isotonic_follows_the_shares() -> None:
    found, _ = fitted(
        "isotonic", [0.1, 0.1, 0.4, 0.4, 0.9, 0.9], [False, False, True, False, True, True]
    )
    assert isinstance(found, Isotonic)
    assert [found.apply(p) for p in (0.0, 0.1, 0.4, 0.9, 1.0)] == [0, 0, 0.5, 1, 1]


def test_probabilities_at_the_very_ends_are_fitted_all_the_same() -> None:
    probabilities, accepted = (
        [0.0, 0.0, 0.0, 1.0, 1.0, 1.0],
        [False, False, True, True, True, False],
    )
    methods: list[Method] = ["temperature", "platt", "isotonic"]
    for method in methods:
        found, _ = fitted(method, probabilities, accepted)
        assert 0 <= found.apply(0.0) < found.apply(1.0) <= 1


def test_a_model_that_errs_the_wrong_way_is_told() -> None:
    probabilities, accepted = (
        [0.1, 0.2, 0.3, 0.7, 0.8, 0.9],
        [True, True, False, True, False, False],
    )
    found, note = fitted("platt", probabilities, accepted)
    assert "the probabilities predict nothing" in note
    assert [found.apply(p) for p in (0.1, 0.9)] == pytest.approx([0.5, 0.5], abs=1e-4)
    _, note = fitted("temperature", probabilities, accepted)
    assert "the probabilities predict nothing" in note


def test_a_model_that_accepts_nearly_all_needs_a_bias() -> None:
    generator = np.random.default_rng(3)
    accepted = np.arange(200) % 2 == 0
    # Nine of ten are accepted, and the model does tell them apart.
    logits = 2 + generator.normal(0, 1, 200) + accepted
    told = 1 / (1 + np.exp(-logits))
    with pytest.raises(CheckFailed, match=r"a temperature alone does not fit.*method to platt"):
        fitted("temperature", told.tolist(), accepted.tolist())
    found, note = fitted("platt", told.tolist(), accepted.tolist())
    assert not note
    calibrated = [found.apply(p) for p in told.tolist()]
    assert np.mean(calibrated) == pytest.approx(0.5, abs=0.01)
    assert max(calibrated) - min(calibrated) > 0.5


def test_where_decision_and_probability_disagree_both_are_counted() -> None:
    told = Predictions(
        "m", [True, False, False, True], [0.9] * 4, ["accept", "accept", "accept", None]
    )
    found = disagreement(told, [0.8, 0.4, 0.3, 0.1])
    assert (found["papers"], found["of"]) == (2, 4)
    assert (found["decision_right"], found["probability_right"]) == (0, 2)


def test_a_paper_is_not_calibrated_by_its_own_label() -> None:
    generator = np.random.default_rng(0)
    labels, probabilities = generator.random(60) < 0.5, generator.random(60)
    told = Predictions("m", labels.tolist(), probabilities.tolist(), [None] * 60)
    after = np.array(out_of_fold("isotonic", told, 5, seed=0))
    inside, _ = fitted("isotonic", told.probabilities, told.accepted)
    within = np.array([inside.apply(p) for p in told.probabilities])
    accepted = np.array(told.accepted)
    assert np.mean((after - accepted) ** 2) > np.mean((within - accepted) ** 2)


def test_the_band_leaves_the_least_sure_papers_undecided() -> None:
    calibrated = [0.95, 0.9, 0.8, 0.6, 0.55, 0.45, 0.3, 0.2, 0.1, 0.05]
    accepted = [True, True, True, False, False, True, False, False, True, False]
    decisions: list[Decision | None] = ["accept" if i < 5 else "reject" for i in range(10)]
    told = Predictions("m", accepted, calibrated, decisions)
    table = band_table(told, calibrated, [0.6, 1.0, 0.8])
    assert [row["asked"] for row in table] == [1.0, 0.8, 0.6]
    whole, most, some = table
    assert whole["band"] is None
    assert (whole["decided"], whole["precision"]) == (10, 0.6)
    assert whole["precision_of_accepts"] == 0.6
    # 0.55 and 0.45 are as far from 0.5 as each other, and both of them go.
    assert most["band"] == {"low": 0.45, "high": 0.55}
    assert (most["coverage"], most["precision"]) == (0.8, 0.75)
    assert most["precision_of_rejects"] == 0.75
    # 0.3 and 0.6 are the next, then 0.8 and 0.2.
    assert some["band"] == {"low": 0.3, "high": 0.7}
    assert suggested_band(table, 0.75) == most
    assert suggested_band(table, 0.5) == whole
    assert suggested_band(table, 0.99) is None


def validation(count: int = 12) -> list[PaperRow]:
    """Accepted and rejected ones, of which the model tells apart most, and is too sure."""
    told = [0.99, 0.05, 0.98, 0.9, 0.97, 0.02, 0.04, 0.01, 0.99, 0.03, 0.98, 0.97]
    return [
        paper(i, decision="accept" if i % 2 == 0 else "reject", told=told[i], prefix="v")
        for i in range(count)
    ]


def prepared(
    folder: Path,
    papers: list[PaperRow],
    *,
    benchmark: list[PaperRow] | None = None,
    validated: list[PaperRow] | None = None,
    **calibrate: Any,
) -> Path:
    recipe = recipe_file(folder, calibrate={**FEW, **calibrate})
    written(recipe, "collect", {"benchmark.jsonl": benchmark or [], "papers.jsonl": papers})
    val = papers if validated is None else validated
    written(recipe, "filter", {"val.jsonl": [target(row) for row in val], "train.jsonl": []})
    merged(recipe)
    return recipe


def run(recipe: Path, tokenizer: ChatTokenizer) -> ReadingEngine:
    engine = ReadingEngine(tokenizer, name="model")
    run_stage(calibrate_stage(launcher(lambda _: engine)), recipe)
    return engine


def test_the_file_is_one_that_the_service_loads(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    benchmark = [paper(0, decision="accept", told=0.5)]
    recipe = prepared(tmp_path, validation(), benchmark=benchmark, coverages=[1.0, 0.5])
    run(recipe, tokenizer)
    folder = tmp_path / "out/calibrate"
    calibration = load_calibration(folder / "calibration.json")
    assert (calibration.name, calibration.model) == ("test-platt", "model")
    assert isinstance(calibration.map, Platt)
    assert calibration.map.slope < 1
    assert (calibration.mode, calibration.format) == ("review", "structured")
    assert calibration.content == content_of(tmp_path / "out/merge/model")
    assert calibration.fitted_on["papers"] == 12
    assert sum(one.papers for one in calibration.bins) == 12
    assert sum(one.accepted for one in calibration.bins) == calibration.fitted_on["accepted"]
    report = json.loads((folder / "report.json").read_text())
    assert report["calibration"] == json.loads((folder / "calibration.json").read_text())
    before, after = calibration.fitted_on["before"], calibration.fitted_on["after"]
    assert after["brier"]["value"] < before["brier"]["value"]
    assert before["auroc"]["low"] <= before["auroc"]["value"]
    assert [row["asked"] for row in report["abstain"]["coverages"]] == [1.0, 0.5]
    rows = (folder / "val_full.jsonl").read_text().splitlines()
    assert len(rows) == 12


@pytest.mark.parametrize("shared", ["id", "title"])
def test_nothing_is_fitted_to_the_benchmark(
    tmp_path: Path, tokenizer: ChatTokenizer, shared: str
) -> None:
    papers = validation()
    one = papers[3]
    values = {name: getattr(one, name) for name in one.__struct_fields__}
    other = (
        {"title": "Another Title"} if shared == "id" else {"id": "x", "title": one.title.upper()}
    )
    recipe = prepared(tmp_path, papers, benchmark=[PaperRow(**{**values, **other})])
    with pytest.raises(InputInvalid, match=r"1 of 12 papers are also in the benchmark.*v3"):
        run(recipe, tokenizer)


def test_a_split_that_is_empty_or_of_one_class_is_refused_before_any_review(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    with pytest.raises(InputInvalid, match="the validation split is empty"):
        run(prepared(tmp_path / "a", validation(), validated=[]), tokenizer)
    accepted = validation()[::2]
    with pytest.raises(InputInvalid, match="6 accepted and 0 rejected"):
        run(prepared(tmp_path / "b", accepted), tokenizer)


def test_a_review_of_a_paper_that_nobody_collected_is_refused(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    recipe = prepared(tmp_path, validation()[:4], validated=validation()[:5])
    with pytest.raises(InputInvalid, match=r"the paper '.*v4' was not collected"):
        run(recipe, tokenizer)


def test_an_engine_that_tells_no_probabilities_is_told(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    class Mute(ReadingEngine):
        async def next_token_logprobs(self, request: Any) -> Any:
            found = await super().next_token_logprobs(request)
            return type(found)({}, found.usage)

    stage = calibrate_stage(launcher(lambda _: Mute(tokenizer)))
    with pytest.raises(CheckFailed, match="12 of 12 papers have no probability"):
        run_stage(stage, prepared(tmp_path, validation()))
