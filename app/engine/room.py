"""Whether this machine has the disk and the memory that a model needs."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from app.engine.model_entry import ModelSource
from app.errors import ConfigurationError, ReviewerError

_GB = 1e9
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class NoRoom(ReviewerError):
    """The disk has too little free space for a model's files."""

    code = "disk_full"


class MemoryTooSmall(ConfigurationError):
    """The machine, or the container, has less memory than the model needs."""

    code = "memory_too_small"


def check_memory(source: ModelSource) -> None:
    """Check the whole memory, not what is free at the moment.

    Raises:
        MemoryTooSmall: the machine or the container can never run the model.
    """
    has = memory_bytes()
    if source.memory_gb and has < source.memory_gb * _GB:
        raise MemoryTooSmall(
            f"The service needs {source.memory_gb:g} GB of memory with {source.name}, and this "
            f"machine or container has {has / _GB:.1f} GB",
            param="model",
        )


def memory_bytes() -> int:
    """The machine's memory, or the container's limit if that is lower."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in map(Path, _CGROUP_LIMITS):
        with suppress(OSError, ValueError):  # no such limit, or "max"
            whole = min(whole, int(path.read_text(encoding="ascii")))
    return whole


def check_disk(source: ModelSource, folder: Path, present: int) -> None:
    """Check that ``folder`` has room for the model's files, ``present`` bytes of which it has.

    Raises:
        NoRoom: it has not.
    """
    needed = (source.disk_gb or 0) * _GB - present
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(
            f"There is no room for {source.name} in {folder}: bringing it needs "
            f"{needed / _GB:.1f} GB, and {free / _GB:.1f} GB are free"
        )
