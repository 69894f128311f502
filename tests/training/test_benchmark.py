"""The benchmark stage with an engine double under the service's own code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from app.engine.tokenizer import ChatTokenizer
from app.settings import Settings
from tests.doubles import WHOLE_REVIEW
from tests.training.recipes import recipe_file
from tests.training.reviewed import (
    Interrupted,
    ReadingEngine,
    launcher,
    merged,
    paper,
    written,
)
from training.benchmark import benchmark_stage
from training.errors import InputInvalid, InputMissing, OutputInTheWay, RecipeError
from training.jsonl import read_rows
from training.rows import PaperRow, ReviewedRow
from training.stage import run_stage

LEAKS = {"benchmark": {"papers": 8, "accepted": 4, "reason": "too few"}}
FEW = {"bootstrap": 100, "length_classes": 2, "concurrency": 1}


def papers() -> list[PaperRow]:
    """Eight with a decision, of which the engine knows all but one; two without."""
    told = [0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.55]
    labelled = [
        paper(i, decision="accept" if i < 4 else "reject", told=p, words=40 + 10 * (i % 3))
        for i, p in enumerate(told)
    ]
    drafts = [
        paper(i, decision=None, told=0.9, venue="acl_2017", ratings=(4, 3), prefix="d")
        for i in range(2)
    ]
    return [*labelled, *drafts]


def prepared(folder: Path, rows: Sequence[PaperRow] | None = None, **benchmark: Any) -> Path:
    recipe = recipe_file(folder, benchmark={**FEW, **benchmark})
    written(
        recipe,
        "collect",
        {
            "benchmark.jsonl": papers() if rows is None else rows,
            "papers.jsonl": [],
            "leaks.json": [LEAKS],
        },
    )
    merged(recipe)
    return recipe


def result(folder: Path, name: str) -> Any:
    return json.loads((folder / "out" / "benchmark" / name).read_text())


def test_both_models_are_reviewed_measured_and_drawn(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    engines: list[ReadingEngine] = []

    def engine(settings: Settings) -> ReadingEngine:
        assert settings.model.endswith("model") == bool(engines), "the base comes first"
        engines.append(ReadingEngine(tokenizer, shift=0.0 if engines else 0.3))
        return engines[-1]

    recipe = prepared(tmp_path)
    manifest = run_stage(benchmark_stage(launcher(engine)), recipe)
    rows = list(read_rows(tmp_path / "out/benchmark/peerread_ft_full.jsonl", ReviewedRow))
    assert [row.paper for row in rows] == [row.id for row in papers()]
    assert rows[0].text == WHOLE_REVIEW
    assert (rows[0].decision, rows[0].decided_by) == ("accept", "review_line")
    assert rows[0].probability == pytest.approx(0.9)
    assert (rows[0].prompt_tokens, rows[0].completion_tokens) == (100, 50)
    assert rows[0].seconds > 0

    tuned = result(tmp_path, "peerread_ft_metrics.json")
    assert tuned["label"] == {"source": "official", "thresholds": {}}
    assert (tuned["papers"], tuned["accepted"]) == (8, 4)
    assert tuned["unlabelled"] == {"acl_2017": 2}
    assert tuned["confusion"]["rejected"] == {"accept": 1, "reject": 3, "unparsed": 0}
    assert tuned["figures"]["accuracy"]["value"] == pytest.approx(7 / 8)
    assert tuned["figures"]["auroc"]["value"] == 1
    assert tuned["venues"]["iclr_2017"]["figures"]["accuracy"]["value"] == pytest.approx(7 / 8)
    baselines = tuned["baselines"]
    assert baselines["always_accept"]["figures"]["f1"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert set(baselines) == {
        "always_accept",
        "same_rate_random",
        "length_only",
        "bag_of_words",
        "base_model",
    }
    # The base accepts three of the rejected papers too many.
    more = baselines["base_model"]["more_than"]["accuracy"]["value"]
    base = result(tmp_path, "peerread_base_metrics.json")
    assert base["confusion"]["rejected"]["accept"] == 4
    assert more == pytest.approx(7 / 8 - base["figures"]["accuracy"]["value"])
    assert "base_model" not in base["baselines"]
    assert all(engine.closed for engine in engines)
    for plot in ("calibration", "roc", "accept_rate"):
        with Image.open(tmp_path / f"out/benchmark/peerread_{plot}.png") as image:
            assert image.format == "PNG"
            assert len(set(image.convert("L").resize((60, 50)).tobytes())) > 5
    assert manifest.counts["labelled"] == 8


def test_papers_are_blinded_and_packed_as_the_service_does(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    rows = papers()[:4]
    first = rows[0]
    thanks = [("Acknowledgements", "We thank the University of Nowhere.")]
    rows[0] = PaperRow(
        **{
            **{name: getattr(first, name) for name in first.__struct_fields__},
            "sections": (
                *first.sections,
                *(type(first.sections[0])(heading=h, text=t) for h, t in thanks),
            ),
        }
    )
    engine = ReadingEngine(tokenizer)
    recipe = prepared(tmp_path, rows, models=["tuned"], prompt_tokens=1024)
    run_stage(benchmark_stage(launcher(lambda _: engine)), recipe)
    assert "Method" in engine.prompts[0]
    assert "Nowhere" not in engine.prompts[0]
    assert all(len(tokenizer.encode(prompt)) < 1024 for prompt in engine.prompts)


def test_an_interrupted_benchmark_goes_on_with_what_is_left(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    recipe = prepared(tmp_path, models=["tuned"])
    first = ReadingEngine(tokenizer, fails_at=4)
    with pytest.raises(Interrupted):
        run_stage(benchmark_stage(launcher(lambda _: first)), recipe)
    cache = tmp_path / "out/benchmark/cache.jsonl"
    assert len(list(read_rows(cache, ReviewedRow))) == 3
    with cache.open("ab") as file:
        file.write(b'{"paper": "cut o')  # as a kill -9 leaves it
    second = ReadingEngine(tokenizer)
    manifest = run_stage(benchmark_stage(launcher(lambda _: second)), recipe)
    assert manifest.resumed
    assert len(second.prompts) == 7
    path = tmp_path / "out/benchmark/peerread_ft_full.jsonl"
    assert [row.paper for row in read_rows(path, ReviewedRow)] == [row.id for row in papers()]


def test_another_analysis_generates_nothing_and_other_sampling_does(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    def reviewed(**benchmark: Any) -> int:
        engine = ReadingEngine(tokenizer)
        recipe = recipe_file(tmp_path, benchmark={**FEW, "models": ["tuned"], **benchmark})
        again = benchmark.get("top_p") is not None
        run_stage(benchmark_stage(launcher(lambda _: engine)), recipe, again=again)
        return len(engine.prompts)

    prepared(tmp_path, models=["tuned"])
    assert reviewed() == 10
    assert reviewed(bootstrap=150, length_classes=1) == 0
    label = {"source": "rating", "thresholds": {"iclr_2017": 6, "acl_2017": 3.5}}
    assert reviewed(label=label) == 0
    assert result(tmp_path, "peerread_ft_metrics.json")["label"] == label
    with pytest.raises(OutputInTheWay, match=r"benchmark\.temperature.*cache\.jsonl is kept"):
        reviewed(temperature=0.7)
    assert reviewed(top_p=0.5) == 10
    # What was generated with the former sampling is still there.
    assert reviewed(top_p=0.9) == 0


def test_the_report_says_how_papers_were_reviewed_and_what_leaks(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    recipe = prepared(tmp_path, models=["tuned"])
    run_stage(benchmark_stage(launcher(lambda _: ReadingEngine(tokenizer))), recipe)
    told = result(tmp_path, "peerread_ft_metrics.json")
    assert told["leaks"] == LEAKS
    assert told["as_served"]["review_format"] == "structured"
    assert told["as_served"]["temperature"] == 0.2
    assert told["as_served"]["top_k"] is None


@pytest.mark.parametrize("name", ["TEMPERATURE", "CALIBRATION", "REVIEW_FORMAT"])
def test_a_setting_that_would_change_reviews_is_refused(
    tmp_path: Path, tokenizer: ChatTokenizer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    values = {"TEMPERATURE": "0.9", "CALIBRATION": "x.json", "REVIEW_FORMAT": "free"}
    monkeypatch.setenv(f"REVIEWER_{name}", values[name])
    engine = ReadingEngine(tokenizer)
    with pytest.raises(RecipeError, match=f"REVIEWER_{name} is set"):
        run_stage(benchmark_stage(launcher(lambda _: engine)), prepared(tmp_path, models=["tuned"]))
    assert not engine.prompts


def test_verdicts_alone_write_no_reviews(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    engine = ReadingEngine(tokenizer)
    recipe = prepared(tmp_path, models=["tuned"], mode="verdict")
    run_stage(benchmark_stage(launcher(lambda _: engine)), recipe)
    assert not engine.generations
    rows = list(read_rows(tmp_path / "out/benchmark/peerread_ft_full.jsonl", ReviewedRow))
    assert (rows[0].text, rows[0].decided_by) == ("", "probe")
    assert result(tmp_path, "peerread_ft_metrics.json")["figures"]["auroc"]["value"] == 1


def test_a_mean_rating_can_be_the_label(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    engine = launcher(lambda _: ReadingEngine(tokenizer))
    label = {"source": "rating", "thresholds": {"iclr_2017": 6, "acl_2017": 3.5}}
    recipe = prepared(tmp_path, models=["tuned"], label=label)
    run_stage(benchmark_stage(engine), recipe)
    told = result(tmp_path, "peerread_ft_metrics.json")
    assert told["label"] == label
    assert (told["papers"], told["accepted"], told["unlabelled"]) == (10, 2, {})
    assert told["venues"]["iclr_2017"]["figures"]["auroc"]["reason"] == "all 8 papers were rejected"


def test_a_venue_without_a_threshold_is_named(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    engine = launcher(lambda _: ReadingEngine(tokenizer))
    label = {"source": "rating", "thresholds": {"iclr_2017": 6}}
    recipe = prepared(tmp_path, models=["tuned"], label=label)
    with pytest.raises(RecipeError, match="'acl_2017', whose ratings go from 1 to 10"):
        run_stage(benchmark_stage(engine), recipe)


def test_papers_of_one_class_are_reviewed_and_say_what_is_undefined(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    engine = launcher(lambda _: ReadingEngine(tokenizer))
    recipe = prepared(tmp_path, papers()[:4], models=["tuned"])
    run_stage(benchmark_stage(engine), recipe)
    told = result(tmp_path, "peerread_ft_metrics.json")
    assert told["figures"]["auroc"] == {"value": None, "reason": "all 4 papers were accepted"}
    assert told["baselines"]["bag_of_words"]["reason"] == "only 0 rejected papers to fit to"
    assert (tmp_path / "out/benchmark/peerread_roc.png").stat().st_size > 0


def test_an_answer_without_a_decision_counts_as_unparsed(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    refuses = {"Number 1": "I can't help with that."}
    recipe = prepared(tmp_path, models=["tuned"])

    class Mute(ReadingEngine):
        async def next_token_logprobs(self, request: Any) -> Any:
            found = await super().next_token_logprobs(request)
            return type(found)({}, found.usage)

    run_stage(benchmark_stage(launcher(lambda _: Mute(tokenizer, texts=refuses))), recipe)
    told = result(tmp_path, "peerread_ft_metrics.json")
    assert told["figures"]["unparsed_rate"]["value"] == pytest.approx(1 / 8)
    assert told["confusion"]["accepted"] == {"accept": 3, "reject": 0, "unparsed": 1}
    assert told["figures"]["auroc"]["reason"] == "no paper has a probability"
    assert told["decided_by"] == {"review_line": 8, "nothing": 2}


def test_baselines_may_be_fitted_to_the_papers_to_train_on(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    recipe = recipe_file(
        tmp_path, benchmark={**FEW, "models": ["tuned"], "baselines_from": "train"}
    )
    train = [
        paper(
            i,
            decision="accept" if i % 2 else "reject",
            told=0.5,
            prefix="t",
            words=90 if i % 2 else 30,
        )
        for i in range(20)
    ]
    test = [
        paper(i, decision="accept" if i % 2 else "reject", told=0.5, words=80 if i % 2 else 50)
        for i in range(6)
    ]
    files: dict[str, list[Any]] = {
        "benchmark.jsonl": test,
        "papers.jsonl": train,
        "leaks.json": [LEAKS],
    }
    written(recipe, "collect", files)
    merged(recipe)
    engine = launcher(lambda _: ReadingEngine(tokenizer))
    run_stage(benchmark_stage(engine), recipe)
    told = result(tmp_path, "peerread_ft_metrics.json")
    assert told["baselines_fitted_to"] == "20 training papers"
    length = told["baselines"]["length_only"]
    assert length["figures"]["auroc"]["value"] == 1
    assert length["more_than"]["auroc"]["value"] == -0.5


@pytest.mark.parametrize("rows", [[], [paper(0, decision=None, told=0.5)]])
def test_a_benchmark_without_papers_or_labels_is_refused(
    tmp_path: Path, tokenizer: ChatTokenizer, rows: list[PaperRow]
) -> None:
    engine = ReadingEngine(tokenizer)
    with pytest.raises(InputInvalid, match=r"no papers|none of 1 papers has a label"):
        run_stage(benchmark_stage(launcher(lambda _: engine)), prepared(tmp_path, rows))
    assert not engine.prompts


def test_a_paper_without_text_is_told_before_any_is_reviewed(
    tmp_path: Path, tokenizer: ChatTokenizer
) -> None:
    empty = papers()[:2]
    empty[1] = PaperRow(
        **{
            **{name: getattr(empty[1], name) for name in empty[1].__struct_fields__},
            "sections": (),
        }
    )
    engine = ReadingEngine(tokenizer)
    with pytest.raises(InputInvalid, match="peerread/iclr_2017/p1 has no text"):
        run_stage(benchmark_stage(launcher(lambda _: engine)), prepared(tmp_path, empty))
    assert not engine.prompts


def test_a_truncated_input_is_told_with_its_line(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    recipe = prepared(tmp_path)
    path = tmp_path / "out/collect/benchmark.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputInvalid, match=r"benchmark\.jsonl, line 10: the line is truncated"):
        run_stage(benchmark_stage(launcher(lambda _: ReadingEngine(tokenizer))), recipe)


def test_the_tuned_model_must_be_there(tmp_path: Path, tokenizer: ChatTokenizer) -> None:
    recipe = recipe_file(tmp_path)
    files: dict[str, list[Any]] = {
        "benchmark.jsonl": papers(),
        "papers.jsonl": [],
        "leaks.json": [LEAKS],
    }
    written(recipe, "collect", files)
    with pytest.raises(InputMissing, match=r"training\.merge first"):
        run_stage(benchmark_stage(launcher(lambda _: ReadingEngine(tokenizer))), recipe)
