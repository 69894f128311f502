"""Clients of the service: its HTTP API as Python calls, and the batches that use it."""
