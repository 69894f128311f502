"""vLLM's own arguments, where the operator gives more of them than the service does."""

from __future__ import annotations

import shlex
from collections.abc import Collection

from app.errors import ConfigurationError
from app.settings import Settings


def further_args(settings: Settings, own: Collection[str]) -> list[str]:
    """The operator's own arguments beside ``own``, the service's.

    Raises:
        ConfigurationError: one of them is among these, or they can't be read.
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
