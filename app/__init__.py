"""A self-hosted reviewer of scientific papers."""

__version__ = "0.1.0"
