"""The real service around an engine double that needs no model.

    python -m tests.scripted_service --port PORT

The double takes ``SCRIPTED_DELAY_S`` for each line of its review; everything else is set as the
real service is, by ``REVIEWER_`` variables and ``--port``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from app.main import create_app
from app.observability.logs import configure_logging
from app.server import Server
from app.settings import load_settings
from tests.doubles import ScriptedEngine, WordTokenizer
from tests.service import Service


class ScriptedService(Service):
    """Starts in a second, again and again."""

    command: tuple[str | Path, ...] = (sys.executable, "-m", "tests.scripted_service")


def main() -> None:
    settings = load_settings(port=int(sys.argv[sys.argv.index("--port") + 1]))
    configure_logging("warning", settings.log_format)
    delay_s = float(os.environ.get("SCRIPTED_DELAY_S", "0"))
    app = create_app(settings, ScriptedEngine(WordTokenizer(), delay_s=delay_s))
    Server(app, settings).run()


if __name__ == "__main__":
    main()
