"""Sources of papers. Each module reads one kind of source into rows."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from training.rows import PaperRow, Rejected

Item = TypeVar("Item")
Read = PaperRow | Rejected
"""A paper, or why it could not be read."""


def random_sample(items: Sequence[Item], most: int | None, seed: int) -> list[Item]:
    """A random sample of at most ``most`` items, in their order."""
    if most is None or most >= len(items):
        return list(items)
    places = sorted(random.Random(seed).sample(range(len(items)), most))  # noqa: S311
    return [items[place] for place in places]


def balanced_sample(
    items: Sequence[Item], is_accepted: Callable[[Item], bool], most: int | None, seed: int
) -> list[Item]:
    """A random sample of at most ``most`` items, with as many accepted as rejected if possible."""
    if most is None or most >= len(items):
        return list(items)
    places = range(len(items))
    sides = [[p for p in places if is_accepted(items[p]) is side] for side in (True, False)]
    smaller = min(sides, key=len)
    few = min(len(smaller), most // 2)
    chosen = [
        p
        for side in sides
        for p in random_sample(side, few if side is smaller else most - few, seed)
    ]
    return [items[place] for place in sorted(chosen)]
