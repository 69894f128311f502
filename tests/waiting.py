"""Waits for what happens elsewhere, without a claim of how long that takes."""

from __future__ import annotations

import time
from collections.abc import Callable

HANGS_S = 120.0
"""After so long it hangs. Also on a machine that does much else, and so no measure of anything."""


def wait_for(condition: Callable[[], bool], seconds: float = HANGS_S) -> None:
    """Until ``condition`` holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"not within {seconds:g} s"
        time.sleep(0.01)
