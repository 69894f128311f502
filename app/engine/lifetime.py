"""Ends vLLM's processes when the process that started them ends.

A service that is killed can't stop its engine, which would keep the GPU's memory occupied. vLLM
loads this module in each of its processes as a plugin (``vllm.general_plugins`` in pyproject.toml).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def end_with_parent() -> None:
    """In a child process: kill it as soon as the parent process has ended for any reason."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=wait, name="end-with-parent", daemon=True).start()
