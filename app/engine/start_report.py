"""What the engine's own processes say when they fail to start.

vLLM's front end knows only that one of them ended ("See root cause above"). So each of them, by
the plugin in ``app.observability.logs``, appends the exceptions that vLLM logs to a file which is
there for no longer than the start: nothing of a paper can come into it.
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
    """
    Raises:
        ModelNotStarted: instead of whatever is raised inside.
    """
    with tempfile.TemporaryDirectory(prefix="reviewer-start-") as folder:
        report = Path(folder) / "report"
        report.touch(mode=0o600)
        os.environ[START_REPORT] = str(report)
        # The front end logs what went wrong in looking at a model, and raises something else.
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
