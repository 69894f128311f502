"""Where papers come from: each module reads one source into rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from training.rows import PaperRow, Rejected

Item = TypeVar("Item")
Read = PaperRow | Rejected
"""A paper, or why it is none."""


def drawn(items: Sequence[Item], most: int | None, seed: int) -> list[Item]:
    """``most`` of the items, at random, in their order."""
    if most is None or most >= len(items):
        return list(items)
    places = sorted(random.Random(seed).sample(range(len(items)), most))  # noqa: S311
    return [items[place] for place in places]
