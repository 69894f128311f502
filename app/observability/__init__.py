"""Logs, metrics and traces; none of them holds what a client or a paper says."""
