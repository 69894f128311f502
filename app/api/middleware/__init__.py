"""ASGI middleware: request ids and log lines, API keys and limits, sizes of bodies."""
