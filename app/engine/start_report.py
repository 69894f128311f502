"""Collects the errors of the engine's processes when they fail to start.

vLLM's front end knows only that a process has ended ("See root cause above"). So in each process
the plugin in ``app.observability.logs`` appends the exceptions that vLLM logs to a file. The file
exists only during the start, so it can't contain text of a paper.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.engine.start_failures import Fault, why
from app.observability.logs import START_REPORT, StartReport


@contextmanager
def explained_start() -> Iterator[None]:
    """Explain any exception raised inside.

    Raises:
        ModelNotStarted: with the reason of the failure.
    """
    with tempfile.TemporaryDirectory(prefix="reviewer-start-") as folder:
        report = Path(folder) / "report"
        report.touch(mode=0o600)
        os.environ[START_REPORT] = str(report)
        # For errors in a model's files, vLLM's front end logs the cause and raises another error.
        own = StartReport(report)
        logging.getLogger("vllm").addHandler(own)
        try:
            yield
        except Exception as error:
            raise why(error, _faults(report)) from error
        finally:
            logging.getLogger("vllm").removeHandler(own)
            del os.environ[START_REPORT]


def _faults(report: Path) -> list[Fault]:
    lines = report.read_text(encoding="utf-8").splitlines()
    return [Fault(*json.loads(line)) for line in lines]
