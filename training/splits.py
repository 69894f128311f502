"""What ``sft`` and ``merge`` share: the rows that ``filter`` left, as tokens, and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.errors import InputInvalid
from training.examples import Example, end_of_turn, make_example
from training.jsonl import read_rows
from training.recipe import Recipe
from training.rows import ReviewRow, load_papers
from training.stage import Job, required, stage_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

ADAPTER = "adapter"
"""Folder in that of ``sft``."""


def papers_file(recipe: Recipe) -> Path:
    return stage_file(recipe, "collect", "papers.jsonl")


def split_file(recipe: Recipe, split: str) -> Path:
    return stage_file(recipe, "filter", f"{split}.jsonl")


def adapter_folder(recipe: Recipe) -> Path:
    return stage_file(recipe, "sft", ADAPTER)


def examples_of(
    job: Job, split: str, tokenizer: PreTrainedTokenizerFast, eos_ids: Sequence[int]
) -> list[Example]:
    """The rows of a split, none left out.

    Raises:
        InputInvalid: the training split is empty, or a row can't be learnt from.
    """
    from app.engine.tokenizer import ChatTokenizer

    path = split_file(job.recipe, split)
    rows = list(read_rows(path, ReviewRow))
    if split == "train":
        required(rows, path, "rows to train on")
    papers = load_papers(papers_file(job.recipe))
    chat, end = ChatTokenizer(tokenizer), end_of_turn(tokenizer, eos_ids)
    examples = []
    for row in job.track(rows, f"tokens of {split}"):
        if row.paper not in papers:
            raise InputInvalid(f"row {row.id}: there is no paper {row.paper} to it")
        examples.append(make_example(row, papers[row.paper], chat, end, job.recipe.sft.max_length))
    return examples
