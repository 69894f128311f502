"""Placeholder until the evidence branch is merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.paper.model import BBox, Paper


@dataclass(frozen=True, slots=True)
class Passage:
    page: int
    quote: str
    bbox: BBox
    score: float


@dataclass(frozen=True, slots=True)
class Support:
    evidence: tuple[Passage, ...] = ()
    unsupported: tuple[str, ...] = ()


def find_supports(_: Paper, texts: Sequence[str]) -> tuple[Support, ...]:
    return tuple(Support() for _ in texts)
