"""Logs, metrics and traces. None of them contains text from a client or a paper."""
