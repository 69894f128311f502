"""Placeholder until the real one lands."""

from app.paper.model import Paper


def is_archive(data: bytes) -> bool:
    return False


def paper_from_archive(data: bytes) -> Paper:
    raise NotImplementedError
