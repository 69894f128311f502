"""Lets vLLM's processes end with the process that started them.

A gateway that is killed outright can't stop its engine, which would go on holding the GPU's memory.
vLLM loads this in each of its processes, as a plugin (``vllm.general_plugins`` in pyproject.toml).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def end_with_parent() -> None:
    """In a child process: end when the parent has ended, however it ended."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()
