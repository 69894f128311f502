"""Rebuilds the model from public data: see README.md."""
