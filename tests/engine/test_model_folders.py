"""Model folders and settings that vLLM does not load say why, and the start is not tried again."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import pytest

from app.engine.launcher import engine_launcher
from app.errors import ModelNotStarted
from app.settings import Settings
from tests.service import Service, end_of

pytestmark = pytest.mark.anyio


async def failure_of(settings: Settings) -> ModelNotStarted:
    with pytest.raises(ModelNotStarted) as failed:
        await engine_launcher(settings)()
    assert not failed.value.passing
    return failed.value


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy of the embedded model for a test to spoil."""
    copy = tmp_path / "spoilt"
    copy.mkdir()
    for path in model_folder.iterdir():
        (copy / path.name).symlink_to(path)
    return copy


def spoil(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.unlink()
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("model.safetensors", "has no weights"),
        ("tokenizer.json", "no tokenizer at"),
        ("chat_template.jinja", "has no chat template"),
    ],
)
async def test_a_folder_without_one_of_its_files(folder: Path, missing: str, says: str) -> None:
    (folder / missing).unlink()
    failure = await failure_of(Settings(model=str(folder)))
    assert failure.code in ("model_refused", "weights_damaged")
    assert says in failure.message


async def test_weights_cut_short(folder: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.resolve()
    path.unlink()
    with whole.open("rb") as file:
        path.write_bytes(file.read(50_000_000))
    failure = await failure_of(Settings(model=str(folder)))
    assert failure.code == "weights_damaged"
    assert f"{path} is cut short or damaged" in failure.message
    assert f"50,000,000 of {whole.stat().st_size:,} bytes" in failure.message


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"llama"', '"manati"', "model type `manati` but Transformers does not recognize"),
        ('"LlamaForCausalLM"', '"ManatiForCausalLM"', "['ManatiForCausalLM'] are not supported"),
        ('"num_attention_heads": 9', '"num_attention_heads": 7', "7"),
    ],
)
async def test_a_configuration_that_vllm_refuses(
    folder: Path, old: str, new: str, says: str
) -> None:
    spoil(folder / "config.json", old, new)
    failure = await failure_of(Settings(model=str(folder)))
    assert failure.code == "model_refused", failure.message
    assert says in failure.message
    assert "input_value" not in failure.message


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("--no-such-argument 1", "vLLM: unrecognized arguments: --no-such-argument"),
        ("--max-model-len=100", "--max-model-len is set by the service itself"),
        ("--quantization 'fp8", "vllm_args can't be read: No closing quotation"),
    ],
)
async def test_arguments_that_vllm_does_not_take(args: str, says: str) -> None:
    failure = await failure_of(Settings(model="smollm2", vllm_args=args))
    assert says in failure.message


def test_a_context_too_long_for_the_cache(tmp_path: Path) -> None:
    """Found out in a process of the engine's, whose own words come out of it."""
    service = Service(tmp_path / "log", REVIEWER_CPU_KV_CACHE_GIB="0.05")
    assert end_of(service) == 4
    last = service.log.read_text().splitlines()[-1]
    assert last.endswith("(context_too_long)")
    assert "max seq len (8192)" in last
    assert "the available KV cache memory (0.05 GiB)" in last
    assert "REVIEWER_CPU_KV_CACHE_GIB" in last


def test_more_memory_than_there_is(tmp_path: Path) -> None:
    """A cache of 64 TiB. vLLM's own words, which say what is needed and what is free."""
    service = Service(
        tmp_path / "log", REVIEWER_CPU_KV_CACHE_GIB="65536", REVIEWER_SHUTDOWN_DELAY_S="0"
    )
    try:
        service.wait("/readyz", 503)
        with httpx.Client(base_url=service.url) as client:
            while (error := client.get("/readyz").json()["error"])["code"] == "engine_unavailable":
                time.sleep(0.05)
        assert error["code"] == "out_of_memory"
        assert "is less than requested memory for kv (65536.0 GiB)" in error["message"]
        assert "REVIEWER_CPU_KV_CACHE_GIB" in error["message"]
    finally:
        service.stop()
    assert "trying again in 1 s" in service.log.read_text()
