from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.engine import models
from app.engine.models import ALIASES, GEMMA_REVIEWER, SMOLLM2, find_source, locate, on_disk
from app.errors import ConfigurationError


def test_the_default_follows_the_machine() -> None:
    assert find_source("auto", cpu=True) is SMOLLM2
    assert find_source("auto", cpu=False) is GEMMA_REVIEWER


def test_aliases_hub_ids_and_folders(tmp_path: Path) -> None:
    assert find_source("gemma-reviewer", cpu=True) is GEMMA_REVIEWER
    hub = find_source("owner/some-model_1.0", cpu=True)
    assert (hub.name, hub.location, hub.also_named) == (("owner/some-model_1.0",) * 2) + ((),)
    (tmp_path / "config.json").write_text("{}")
    local = find_source(str(tmp_path), cpu=False)
    assert (local.name, local.location, local.also_named) == (tmp_path.name, str(tmp_path), ())


def test_an_alias_may_be_called_by_its_hub_id() -> None:
    assert GEMMA_REVIEWER.also_named == ("NhatCuong22/gemma-4-e4b-scientific-reviewer",)
    assert SMOLLM2.also_named == ()


def test_the_published_model_runs_as_published() -> None:
    assert (GEMMA_REVIEWER.max_tokens, GEMMA_REVIEWER.max_prompt_tokens) == (1400, None)
    assert not GEMMA_REVIEWER.for_trial


def test_the_embedded_model_is_converted_once(model_folder: Path) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    before = (model_folder / "model.safetensors").stat()
    assert Path(locate(SMOLLM2, model_folder.parents[1])) == model_folder
    assert (model_folder / "model.safetensors").stat().st_mtime_ns == before.st_mtime_ns
    assert on_disk(SMOLLM2, model_folder.parents[1])


def test_nothing_is_left_of_a_conversion_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "SMOLLM2_SHA256", "0" * 64)
    with pytest.raises(ConfigurationError, match="not the pinned"):
        locate(SMOLLM2, tmp_path)
    assert [path.suffix for path in (tmp_path / "models").iterdir()] == [".lock"]
    assert not on_disk(SMOLLM2, tmp_path)


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_every_alias_is_explained(name: str) -> None:
    assert ALIASES[name].about
