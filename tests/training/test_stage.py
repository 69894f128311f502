"""What all stages share, driven by a small stage of the tests' own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.training.recipes import recipe_file
from training.base import base_folder
from training.errors import InputInvalid, InputMissing, ModelMissing, OutputInTheWay
from training.jsonl import Appender, read_rows, write_rows
from training.manifest import read_manifest, sha256_of
from training.memory import needs
from training.precision import number_format
from training.recipe import Model
from training.recipe_file import load_recipe
from training.stage import Job, Stage, run_stage, stage_file


def copying(source: Path, *, stop_after: int | None = None) -> Stage:
    """A stage that copies numbers, one at a time; ``stop_after`` so many it is interrupted."""

    def main(job: Job) -> Mapping[str, Any]:
        target = job.folder / "numbers.jsonl"
        done = len(list(read_rows(target, int))) if job.resumed and target.exists() else 0
        with Appender(target) as appender:
            for number, row in enumerate(read_rows(source, int)):
                if number < done:
                    continue
                if number == stop_after:
                    raise KeyboardInterrupt
                appender.append(row)
        return {"copied": number + 1, "resumed_at": done}

    return Stage(
        name="collect",
        sections=("collect",),
        inputs=lambda _: [source],
        outputs=lambda _: ["numbers.jsonl"],
        main=main,
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.jsonl"
    write_rows(path, [3, 1, 4, 1, 5])
    return path


def test_a_stage_writes_its_manifest_last_with_hashes_counts_and_versions(
    tmp_path: Path, source: Path
) -> None:
    recipe = recipe_file(tmp_path)
    manifest = run_stage(copying(source), recipe)
    folder = tmp_path / "out" / "collect"
    assert manifest == read_manifest(folder, "collect")
    assert manifest.made_from.inputs == {str(source): sha256_of(source)}
    assert manifest.outputs["numbers.jsonl"].lines == 5
    assert manifest.outputs["numbers.jsonl"].sha256 == sha256_of(source)
    assert manifest.counts == {"copied": 5, "resumed_at": 0}
    assert manifest.recipe_sha256 == sha256_of(recipe)
    assert manifest.made_from.recipe["seed"] == 42
    assert manifest.versions["python"].startswith("3.")
    assert not (folder / "begun.json").exists()


def test_done_is_done_until_the_recipe_changes(
    tmp_path: Path, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run_stage(copying(source), recipe_file(tmp_path))
    assert run_stage(copying(source), recipe_file(tmp_path)) == first
    assert "up to date" in capsys.readouterr().err
    changed = recipe_file(tmp_path, collect={"sources": [], "benchmark": [papers_at("x")]})
    with pytest.raises(OutputInTheWay, match=r"collect\.benchmark.*--again"):
        run_stage(copying(source), changed)
    assert run_stage(copying(source), changed, again=True).finished >= first.finished


def test_a_change_in_another_section_is_none_for_this_stage(tmp_path: Path, source: Path) -> None:
    first = run_stage(copying(source), recipe_file(tmp_path))
    changed = recipe_file(tmp_path, sft={"epochs": 2})
    assert run_stage(copying(source), changed) == first


def test_an_interrupted_stage_goes_on_and_ends_with_the_same(tmp_path: Path, source: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_stage(copying(source, stop_after=3), recipe_file(tmp_path))
    assert not (tmp_path / "out" / "collect" / "manifest.json").exists()
    manifest = run_stage(copying(source), recipe_file(tmp_path))
    assert manifest.resumed
    assert manifest.counts == {"copied": 5, "resumed_at": 3}
    assert manifest.outputs["numbers.jsonl"].sha256 == sha256_of(source)


def test_an_interrupted_stage_is_not_mixed_with_another_input(tmp_path: Path, source: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_stage(copying(source, stop_after=3), recipe_file(tmp_path))
    write_rows(source, [2, 7])
    with pytest.raises(OutputInTheWay, match=r"source\.jsonl"):
        run_stage(copying(source), recipe_file(tmp_path))
    manifest = run_stage(copying(source), recipe_file(tmp_path), again=True)
    assert manifest.counts == {"copied": 2, "resumed_at": 0}


def test_a_stage_refuses_to_run_before_the_one_that_it_reads(tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match=r"run python -m training\.collect first"):
        run_stage(reading_numbers(), recipe_file(tmp_path))


def reading_numbers() -> Stage:
    return Stage(
        name="filter",
        sections=("filter",),
        inputs=lambda recipe: [stage_file(recipe, "collect", "numbers.jsonl")],
        outputs=lambda _: [],
        main=lambda _: {},
    )


@pytest.mark.parametrize(
    ("damaged", "told"),
    [
        (b"3\n1\n4", "line 3: the line is truncated"),
        (b"3\n1\n4\n", "has only 3 of 5 lines"),
        (b"3\n1\n4\n1\n6\n", "was changed after collect wrote it"),
    ],
)
def test_a_stage_refuses_what_another_wrote_and_something_changed(
    tmp_path: Path, source: Path, damaged: bytes, told: str
) -> None:
    run_stage(copying(source), recipe_file(tmp_path))
    (tmp_path / "out" / "collect" / "numbers.jsonl").write_bytes(damaged)
    with pytest.raises(InputInvalid, match=told):
        run_stage(reading_numbers(), recipe_file(tmp_path))


def papers_at(path: str) -> dict[str, str]:
    return {"kind": "jsonl", "path": path}


def test_a_stage_says_what_memory_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (base / "config.json").write_text("{}")
    with (base / "model.safetensors").open("wb") as file:
        file.truncate(2 * 2**30)  # sparse: 2^30 parameters
    recipe = load_recipe(recipe_file(tmp_path, model={"base": str(base)}))
    whole = f"at least {1 + number_format().itemsize}.0 GiB"
    assert needs("sft", recipe).startswith(f"{whole}, on the GPU if there is one: 1.07 ")
    assert needs("merge", recipe).startswith("about 7.0 GiB of main memory")
    assert needs("benchmark", recipe).startswith(whole)
    assert needs("filter", recipe) == ""
    in_4_bit = {"load_in_4bit": True}
    recipe = load_recipe(recipe_file(tmp_path, model={"base": str(base)}, sft=in_4_bit))
    assert needs("sft", recipe).startswith("at least 1.6 GiB")
    hub = load_recipe(recipe_file(tmp_path, model={"base": "owner/name"}))
    assert "unknown until the base model" in needs("sft", hub)
    source = tmp_path / "source.jsonl"
    write_rows(source, [1])
    run_stage(copying(source), recipe_file(tmp_path))
    assert "collect: memory: up to 4 GiB" in capsys.readouterr().err


def test_a_lost_output_is_made_anew(tmp_path: Path, source: Path) -> None:
    run_stage(copying(source), recipe_file(tmp_path))
    lost = tmp_path / "out" / "collect" / "numbers.jsonl"
    lost.unlink()
    run_stage(copying(source), recipe_file(tmp_path))
    assert json.loads(lost.read_text().splitlines()[0]) == 3


@pytest.mark.parametrize("stage", ["collect", "teach", "filter"])
def test_a_command_tells_an_error_in_one_line_and_exits_with_1(tmp_path: Path, stage: str) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("run:\n  nam: x\n")
    command = [sys.executable, "-m", f"training.{stage}", "--recipe", str(recipe)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: recipe {recipe}, line 2: unknown key 'run.nam'")
    assert done.stderr.count("\n") == 1


def test_two_runs_of_a_stage_at_once_are_refused(tmp_path: Path, source: Path) -> None:
    folder = tmp_path / "out" / "collect"
    folder.mkdir(parents=True)
    with FileLock(folder / ".lock"), pytest.raises(OutputInTheWay, match="another training"):
        run_stage(copying(source), recipe_file(tmp_path))


def test_a_base_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    for base, told in (
        (str(tmp_path / "nowhere"), "is neither an alias"),
        ("nobody/has-this-model", "can't be downloaded"),
    ):
        with pytest.raises(ModelMissing, match=told):
            base_folder(Model(base=base))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelMissing, match=r"no config\.json"):
        base_folder(Model(base=str(tmp_path / "empty")))
