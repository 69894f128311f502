"""The real service on a GPU, with a model of the published one's shape and random weights."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import httpx
import openai
import pytest

from app.engine.launcher import runs_on_cpu
from tests.service import Service


class GpuService(Service):
    """Also where the package is not installed, and so has no command."""

    command = (sys.executable, "-c", "from app.cli import cli; cli()", "serve")


@pytest.fixture(scope="package")
def gpu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Started eager, which takes the least time."""
    if runs_on_cpu():
        pytest.skip("vLLM is not installed for a GPU")
    from benchmarks.gpu.shape import E4B, model_folder

    folder = tmp_path_factory.mktemp("gpu")
    model = model_folder(E4B, folder / "e4b")
    arguments = {
        "REVIEWER_MODEL": str(model),
        "REVIEWER_VLLM_ARGS": "--load-format dummy",
        "REVIEWER_ENFORCE_EAGER": "true",
        "REVIEWER_MAX_TOKENS": "300",
        "VLLM_LOGGING_LEVEL": "INFO",
    }
    with GpuService(folder / "log", **arguments) as running:
        yield running


@pytest.fixture(scope="package")
def gpu_client(gpu: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gpu.url, timeout=120) as client:
        yield client


@pytest.fixture(scope="package")
def gpu_sdk(gpu: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gpu.url}/v1", api_key="unused", max_retries=0) as client:
        yield client
