"""Additional arguments for vLLM from the setting ``vllm_args``."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from app.errors import ConfigurationError
from app.settings import Settings


def further_args(settings: Settings, own: Collection[str]) -> list[str]:
    """The arguments in the setting. ``own`` are those that the service itself passes to vLLM.

    Raises:
        ConfigurationError: an argument is one of ``own``, or the setting can't be parsed.
    """
    try:
        more = shlex.split(settings.vllm_args)
    except ValueError as error:
        raise ConfigurationError(f"vllm_args can't be read: {error}", param="vllm_args") from error
    for word in more:
        name = word.partition("=")[0].replace("_", "-")
        if name.startswith("--") and name in own:
            raise ConfigurationError(f"{name} is set by the service itself", param="vllm_args")
    return more
