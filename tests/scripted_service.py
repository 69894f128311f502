"""The real service around an engine double, as a process: ``python -m tests.scripted_service``.

The double takes ``SCRIPTED_DELAY_S`` for each line of its review; everything else is set as the
real service is, by ``REVIEWER_`` variables.
"""

from __future__ import annotations

import os

import uvicorn

from app.main import create_app
from app.serving import Server
from app.settings import load_settings
from tests.doubles import ScriptedEngine, WordTokenizer


def main() -> None:
    settings = load_settings()
    delay_s = float(os.environ.get("SCRIPTED_DELAY_S", "0"))
    app = create_app(settings, ScriptedEngine(WordTokenizer(), delay_s=delay_s))
    config = uvicorn.Config(
        app, port=settings.port, log_level="warning", timeout_graceful_shutdown=5
    )
    Server(config, drain=lambda: app.state.reviewer.workers.drain()).run()


if __name__ == "__main__":
    main()
