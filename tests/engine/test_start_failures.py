"""A start that fails says why, what to do, and whether it is tried again.

What needs a GPU is told from the libraries' own texts; everything else fails here for real.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from app.engine.launcher import engine_launcher
from app.engine.start_failures import REASONS, Fault, why
from app.errors import EngineError, EngineUnavailable, UpstreamError
from app.settings import Settings
from tests.engine.stub import JSON, Answer, upstream

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
        assert row[1] == ("retried" if reason.passing else "ends")


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
