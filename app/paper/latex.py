"""Placeholder until the real one lands."""

from app.paper.model import Paper


def paper_from_latex(source: bytes | str) -> Paper:
    raise NotImplementedError
