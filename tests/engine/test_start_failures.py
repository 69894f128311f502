"""A start that fails says why, what to do, and whether it is tried again.

What needs a GPU is told from the libraries' own texts; everything else fails here for real.
"""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.engine.launcher import engine_launcher
from app.engine.start_failures import REASONS, Fault, why
from app.errors import EngineError, EngineUnavailable, ModelNotStarted, UpstreamError
from app.settings import Settings
from tests.engine.hub import REPOSITORY, Hub, hub
from tests.engine.stub import JSON, Answer, upstream
from tests.service import STARTS_WITHIN_S, Service

pytestmark = pytest.mark.anyio

# Where each text comes from: vLLM 0.32.0 (its file), torch 2.13 (its file).
TEXTS = [
    # vllm/config/device.py
    ("RuntimeError", "Failed to infer device type, please set `device`", "gpu_not_found", False),
    # torch/csrc/cuda: c10/cuda/CUDAFunctions.cpp
    ("RuntimeError", "No CUDA GPUs are available", "gpu_not_found", False),
    (
        "RuntimeError",
        "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and "
        "installed a driver from http://www.nvidia.com/Download/index.aspx",
        "gpu_not_found",
        False,
    ),
    (
        "RuntimeError",
        "CUDA driver initialization failed, you might not have a CUDA gpu.",
        "gpu_not_found",
        False,
    ),
    (
        "RuntimeError",
        "CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing "
        "env variable CUDA_VISIBLE_DEVICES after program start. Setting the available devices to "
        "be zero.",
        "gpu_not_found",
        False,
    ),
    (
        "RuntimeError",
        "The NVIDIA driver on your system is too old (found version 12020). Please update your GPU "
        "driver by downloading and installing a new version from the URL: "
        "http://www.nvidia.com/Download/index.aspx",
        "driver_too_old",
        False,
    ),
    # The words behind "CUDA error" and "Error 803" are those of the CUDA runtime (libcudart 13.5).
    (
        "torch.AcceleratorError",
        "CUDA error: CUDA driver version is insufficient for CUDA runtime version",
        "driver_too_old",
        False,
    ),
    (
        "RuntimeError",
        "Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before "
        "calling NumCudaDevices() that might have already set an error? Error 803: system has "
        "unsupported display driver / cuda driver combination",
        "driver_too_old",
        False,
    ),
    (
        "torch.AcceleratorError",
        "CUDA error: forward compatibility was attempted on non supported HW",
        "driver_too_old",
        False,
    ),
    (
        "torch.AcceleratorError",
        "CUDA error: no CUDA-capable device is detected",
        "gpu_not_found",
        False,
    ),
    # vllm/platforms/cuda.py
    (
        "ValueError",
        "Bfloat16 is only supported on GPUs with compute capability of at least 8.0. Your Tesla T4 "
        "GPU has compute capability 7.5. You can use float16 instead by explicitly setting the "
        "`dtype` flag in CLI, for example: --dtype=half.",
        "gpu_not_supported",
        False,
    ),
    (
        "torch.AcceleratorError",
        "CUDA error: no kernel image is available for execution on the device",
        "gpu_not_supported",
        False,
    ),
    (
        "ImportError",
        "libcuda.so.1: cannot open shared object file: No such file or directory",
        "gpu_not_found",
        False,
    ),
    # torch: c10/cuda/CUDACachingAllocator.cpp
    (
        "torch.OutOfMemoryError",
        "CUDA out of memory. Tried to allocate 5.60 GiB. GPU 0 has a total capacity of 15.77 GiB "
        "of which 3.12 GiB is free.",
        "out_of_memory",
        True,
    ),
    # vllm/v1/worker/utils.py
    (
        "ValueError",
        "Free memory on device cuda:0 (3.1/23.6 GiB) on startup is less than desired GPU memory "
        "utilization (0.88, 20.8 GiB). Decrease GPU memory utilization or reduce GPU memory used "
        "by other processes.",
        "out_of_memory",
        True,
    ),
    # vllm/v1/worker/gpu_model_runner.py
    (
        "RuntimeError",
        "CUDA out of memory occurred when warming up sampler with 16 dummy requests. Please try "
        "lowering `max_num_seqs` or `gpu_memory_utilization` when initializing the engine.",
        "out_of_memory",
        True,
    ),
    # vllm/v1/worker/gpu_worker.py
    (
        "AssertionError",
        "Error in memory profiling. Initial free memory 20.1 GiB, current free memory 22.3 GiB. "
        "This happens when other processes sharing the same container release GPU memory while "
        "vLLM is profiling during initialization.",
        "out_of_memory",
        True,
    ),
    # vllm/v1/core/kv_cache_utils.py
    (
        "ValueError",
        "No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when "
        "initializing the engine",
        "no_room_for_cache",
        False,
    ),
    # vllm/v1/engine/utils.py
    (
        "RuntimeError",
        "Engine core initialization failed. See root cause above. Failed core proc(s): "
        "{'EngineCore_DP0': -9}",
        "out_of_memory",
        True,
    ),
    (
        "RuntimeError",
        "Engine core initialization failed. See root cause above. Failed core proc(s): "
        "{'EngineCore_DP0': -7}",
        "shared_memory_full",
        False,
    ),
    # safetensors' Rust library
    (
        "safetensors_rust.SafetensorError",
        "Error while deserializing header: incomplete metadata, file not fully covered",
        "weights_damaged",
        False,
    ),
    ("OSError", os.strerror(errno.ENOSPC), "disk_full", True),
    ("OSError", os.strerror(errno.EDQUOT), "disk_full", True),
]


@pytest.mark.parametrize(("kind", "text", "code", "passing"), TEXTS)
def test_the_libraries_words(kind: str, text: str, code: str, passing: bool) -> None:
    """As they come out of the engine's process, behind two that only point to it."""
    points_on = "WorkerProc initialization failed. See stack trace for root cause."
    failure = why(
        RuntimeError("Engine core initialization failed. See root cause above. {}"),
        [Fault("Exception", points_on), Fault(kind, text)],
    )
    assert (failure.code, failure.passing) == (code, passing)
    remedy = next(reason.remedy for reason in REASONS if reason.code == code)
    assert failure.message == f"{text.rstrip('.')}. {remedy}"


def test_a_class_that_cannot_be_looked_at_says_why() -> None:
    """vllm/model_executor/models/registry.py: logged with the cause, raised without."""
    output = (
        "Traceback (most recent call last):\n  ...\nRuntimeError: operator nms does not exist\n"
    )
    logged = Fault("RuntimeError", f"Error raised in subprocess:\n{output}")
    refused = "Value error, Model architectures ['X'] failed to be inspected. Please check the logs"
    failure = why(ValueError(f"1 ValidationError: {refused} for more details."), [logged])
    assert failure.code == "model_refused"
    assert failure.message.startswith("RuntimeError: operator nms does not exist. vLLM can't")


def test_every_reason_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")
    for reason in REASONS:
        row = re.search(rf"^\| `{reason.code}` \| .* \| ([\w ]+) \|$", page, re.MULTILINE)
        assert row, reason.code
        assert row[1] == ("tried again" if reason.passing else "ends")


def test_what_is_in_no_table_is_told_all_the_same() -> None:
    failure = why(RuntimeError("See root cause above"), [Fault("odd.Error", "the\n  moon is full")])
    assert (failure.code, failure.passing) == ("model_not_started", True)
    assert failure.message == "odd.Error: the moon is full"
    assert why(UpstreamError("odd")).code == "upstream_error"
    assert why(EngineUnavailable("away")).passing
    assert why(KeyError("id")).message == "KeyError: 'id'"
    assert len(why(ValueError("x" * 10_000)).message) < 1000
    assert "word" not in why(OSError("couldn't connect to 'https://ann:word@hub/'")).message


@pytest.mark.parametrize(
    ("models", "code"),
    [
        (None, "upstream_unreachable"),
        ((502, JSON, b""), "upstream_unreachable"),
        ((401, JSON, b""), "upstream_refused"),
        ((404, JSON, b""), "upstream_refused"),
        ((200, JSON, b"<html>"), "upstream_refused"),
        ((200, JSON, b'{"data": [{"id": "other"}]}'), "upstream_refused"),
    ],
)
async def test_an_upstream_that_is_not_there(models: Answer | None, code: str) -> None:
    with upstream() as stub:
        stub.models = models
        settings = Settings(engine="upstream", upstream_url=stub.url, model="smollm2")
        with pytest.raises(EngineError) as failed:
            await engine_launcher(settings)()
    failure = why(failed.value)
    assert (failure.code, failure.passing) == (code, True)
    assert "REVIEWER_UPSTREAM_URL" in failure.message
    assert "HF_ENDPOINT" not in failure.message


def weights(size: int) -> bytes:
    """A safetensors file of one tensor."""
    header = json.dumps({"a": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * size


FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": weights(5_000_000),
    "adapter_model.safetensors": weights(10),
    "benchmark/results.json": b"{}",
}


@pytest.fixture
def repository() -> Iterator[Hub]:
    with hub(FILES) as running:
        yield running


def environment(repository: Hub, cache: Path, **more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    return {**inherited, "HF_ENDPOINT": repository.url, "HF_HOME": str(cache), **more}


def pull(
    repository: Hub, cache: Path, largest_file: int | None = None, **more: str
) -> tuple[int, str]:
    """Exit status and all that is printed."""

    def limit() -> None:
        if largest_file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    done = subprocess.run(
        [Path(sys.executable).with_name("reviewer"), "models", "pull", REPOSITORY],
        env=environment(repository, cache, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=limit,  # no threads here
    )
    return done.returncode, done.stdout


def test_a_model_is_pulled_without_what_is_not_loaded(repository: Hub, tmp_path: Path) -> None:
    status, printed = pull(repository, tmp_path)
    assert status == 0, printed
    folder = Path(printed.split()[-1])
    assert {path.name for path in folder.iterdir()} == {
        *("config.json", "tokenizer.json", "model.safetensors"),
    }
    # Nothing is fetched twice, and a second time does without the hub.
    repository.sent.clear()
    assert pull(repository, tmp_path)[0] == 0
    assert pull(repository, tmp_path, HF_HUB_OFFLINE="1")[0] == 0
    assert repository.sent == []
    # But for weights that have been damaged since.
    (folder / "model.safetensors").resolve().write_bytes(FILES["model.safetensors"][:1_000_000])
    status, printed = pull(repository, tmp_path)
    assert status == 0, printed
    assert "cut short" in printed
    assert "model.safetensors" in repository.sent
    assert (folder / "model.safetensors").stat().st_size == len(FILES["model.safetensors"])


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ((404, "RepoNotFound"), "model_not_found"),
        ((401, "RepoNotFound"), "model_not_found"),
        ((401, ""), "hub_token_refused"),
        ((403, "GatedRepo"), "model_gated"),
        ((503, ""), "hub_unreachable"),
    ],
)
def test_what_the_hub_refuses(
    repository: Hub, tmp_path: Path, refusal: tuple[int, str], code: str
) -> None:
    repository.refusal = refusal
    status, printed = pull(repository, tmp_path)
    assert status == 2
    assert printed.rstrip().endswith(f"({code})"), printed
    assert next(reason.remedy for reason in REASONS if reason.code == code) in printed


def test_what_else_keeps_a_model_from_being_pulled(repository: Hub, tmp_path: Path) -> None:
    def refused(code: str, **more: str) -> str:
        status, printed = pull(repository, tmp_path / code, None, **more)
        assert status == 2, printed
        assert printed.rstrip().endswith(f"({code})"), printed
        return printed

    assert "Connection refused" in refused("hub_unreachable", HF_ENDPOINT="http://127.0.0.1:9")
    refused("model_not_on_disk", HF_HUB_OFFLINE="1")
    repository.sizes["model.safetensors"] = 10**15
    assert "the download needs 1000000.0 GB" in refused("disk_full")
    repository.sizes.clear()
    status, printed = pull(repository, tmp_path / "full", largest_file=1_000_000)
    assert status == 2
    assert "File too large" in printed
    assert "(disk_full)" in printed


def end_of(service: Service) -> int:
    """The exit status; vLLM's import takes minutes where the machine is busy."""
    try:
        return service.process.wait(2 * STARTS_WITHIN_S)
    finally:
        service.process.kill()


def test_a_service_whose_model_can_never_be_had_ends_and_says_why(
    repository: Hub, tmp_path: Path
) -> None:
    repository.refusal = (403, "GatedRepo")
    service = Service(
        tmp_path / "log",
        **environment(repository, tmp_path / "cache", HF_HUB_OFFLINE="0"),
        REVIEWER_MODEL=REPOSITORY,
    )
    assert end_of(service) == 4
    last = service.log.read_text().splitlines()[-1]
    assert last.startswith("reviewer: 403 Client Error. Cannot access gated repo for url")
    assert last.endswith("set HF_TOKEN to a token of that account. (model_gated)")


def test_a_service_whose_model_may_come_says_why_and_goes_on(
    repository: Hub, tmp_path: Path
) -> None:
    """A hub that is away; then it is back, but what it has can't be loaded."""
    repository.refusal = (503, "")
    service = Service(
        tmp_path / "log",
        **environment(repository, tmp_path / "cache", HF_HUB_OFFLINE="0"),
        REVIEWER_MODEL=REPOSITORY,
        REVIEWER_SHUTDOWN_DELAY_S="0",
    )
    with httpx.Client(base_url=service.url) as client:
        service.wait("/readyz", 503)
        while (error := client.get("/readyz").json()["error"])["code"] == "engine_unavailable":
            time.sleep(0.05)
        assert error["code"] == "hub_unreachable"
        assert "503 Service Unavailable" in error["message"]
        assert "HTTPS_PROXY" in error["message"]
        # Others learn that it is so, and not from whom.
        asked = client.post("/v1/reviews", json={"title": "T", "body": "B"})
        assert asked.status_code == 503
        assert asked.json()["error"]["code"] == "engine_unavailable"
        assert "hub_unreachable" in asked.json()["error"]["message"]
        assert repository.url not in asked.text
    repository.files["model.safetensors"] = b"version https://git-lfs.github.com/spec/v1"
    repository.refusal = None
    assert end_of(service) == 4
    log = service.log.read_text()
    assert "(weights_damaged)" in log.splitlines()[-1]
    assert "trying again in 1 s" in log


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
    failure = await failure_of(Settings(vllm_args=args))
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
