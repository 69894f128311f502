"""Splits papers into train, val and test: by a column, by time, or by group."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import msgspec

from training.errors import InputInvalid
from training.recipe_sources import Split, SplitByColumn, SplitByGroup, SplitByTime
from training.rows import PaperRow


def split_papers(papers: Sequence[PaperRow], by: Split | None, seed: int) -> list[PaperRow]:
    """The papers with their ``split`` set; unchanged if ``by`` is None.

    Raises:
        InputInvalid: a paper has no value in the column, or a split would be empty.
    """
    if by is None or not papers:
        return list(papers)
    if isinstance(by, SplitByColumn):
        splits = [_named(by, value) for value in _values(papers, by.column)]
    elif isinstance(by, SplitByTime):
        splits = [_at(by, value) for value in _values(papers, by.column)]
    else:
        splits = _grouped(by, _values(papers, by.column), seed)
    counts = Counter(splits)
    wanted = {"train", "val", *(["test"] if by.has_test else [])}
    lacking = sorted(wanted - set(counts))
    if lacking:
        counts_text = ", ".join(f"{name}: {n}" for name, n in sorted(counts.items()))
        raise InputInvalid(
            f"collect.split leaves no papers for {' and '.join(lacking)} ({counts_text})"
        )
    return [
        msgspec.structs.replace(paper, split=split)
        for paper, split in zip(papers, splits, strict=True)
    ]


def _values(papers: Sequence[PaperRow], column: str) -> list[str]:
    """Each paper's value in a column: one of its source's columns, or its venue or split."""
    values = []
    for paper in papers:
        value = {"venue": paper.venue, "split": paper.split, **paper.columns}.get(column, "")
        if not value:
            raise InputInvalid(f"the paper {paper.id} has no value in the column {column!r}")
        values.append(value)
    return values


def _named(by: SplitByColumn, value: str) -> str:
    if value in by.test:
        return "test"
    return "val" if value in by.val else "train"


def _at(by: SplitByTime, value: str) -> str:
    """The split of a paper with this time."""
    if by.test_from is not None and _time(value) >= _time(by.test_from):
        return "test"
    return "val" if _time(value) >= _time(by.val_from) else "train"


def _time(value: str) -> tuple[float, str]:
    """A key that orders years, timestamps and (beginnings of) ISO dates among each other."""
    year, _, rest = value.partition("-")
    try:
        return float(year), rest
    except ValueError as error:
        raise InputInvalid(
            f"collect.split: {value!r} is not a time; use a number, or a date as YYYY-MM-DD"
        ) from error


def _grouped(by: SplitByGroup, values: Sequence[str], seed: int) -> list[str]:
    """Assign random groups to test and val until each has its share of the papers."""
    sizes = Counter(values)
    groups = random.Random(seed).sample(sorted(sizes), len(sizes))  # noqa: S311
    splits: dict[str, str] = {}
    for name, share in (("test", by.test_share), ("val", by.val_share)):
        taken = 0
        while groups and taken < share * len(values):
            group = groups.pop()
            splits[group] = name
            taken += sizes[group]
    return [splits.get(value, "train") for value in values]
