"""Tokenized training examples: the service's prompt, the review, and the end-of-turn token.

The rows are tokenized here and not by TRL, which renders prompt and answer together. TRL would also
train on what the chat template puts after the end of the turn (a newline for Gemma and SmolLM2),
and would truncate or drop a long row, at whose end the decision stands. Here the service's packer
shortens the paper's body, and the review stays whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.engine.base import Message, Tokenizer
from app.errors import InvalidRequest
from app.review.packing import Prompt, pack
from app.review.template import Template
from app.review.templates import published
from training.errors import CheckFailed, InputInvalid
from training.files import papers_file, split_file
from training.jsonl import read_rows
from training.labels import DECISIONS, verdict_line
from training.rows import PaperRow, ReviewRow, blinded_paper, load_papers
from training.stage import Job, required

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NO_LOSS = -100
"""The label of a token that is ignored by the loss (torch's ``ignore_index``)."""
_ANSWER = "ANSWER"


def prompt_of(
    row: PaperRow, tokenizer: Tokenizer, budget: int, template: Template | None = None
) -> Prompt:
    """The blinded paper in at most ``budget`` tokens, chat template included.

    Raises:
        InputInvalid: the paper has no text.
        app.errors.InvalidRequest: the budget leaves no room for it.
    """
    return pack(blinded_paper(row), tokenizer, budget, template or published())


@dataclass(frozen=True, slots=True)
class Example:
    """A tokenized row. ``prompt`` is ``messages`` as tokens; ``answer`` is the review with the
    end-of-turn token; ``cut`` is true if the paper's body was shortened.
    """

    id: str
    messages: tuple[Message, Message]
    prompt: list[int]
    answer: list[int]
    cut: bool

    @property
    def columns(self) -> dict[str, list[int]]:
        """The columns for a trainer; the loss is computed on the answer only."""
        return {
            "input_ids": self.prompt + self.answer,
            "labels": [NO_LOSS] * len(self.prompt) + self.answer,
        }


def end_of_turn(tokenizer: PreTrainedTokenizerFast, eos_ids: Iterable[int]) -> int:
    """The id of the token with which the chat template ends an answer.

    ``eos_ids`` are the tokens that end a generation.

    Raises:
        CheckFailed: there is no chat template; or the token is not special, or not in ``eos_ids``.
    """
    if not tokenizer.chat_template:
        raise CheckFailed(
            "the base's tokenizer has no chat template: use an instruction-tuned model as the base"
        )
    chat = [{"role": "user", "content": "QUESTION"}, {"role": "assistant", "content": _ANSWER}]
    rendered = str(tokenizer.apply_chat_template(chat, tokenize=False))
    after = rendered.rpartition(_ANSWER)[2]
    ids = tokenizer.encode(after, add_special_tokens=False)
    if not ids or ids[0] not in tokenizer.all_special_ids:
        raise CheckFailed(
            f"the chat template ends an answer with {after!r}, which is not a special token"
        )
    end: int = ids[0]
    if end not in set(eos_ids):
        token = tokenizer.convert_ids_to_tokens(end)
        raise CheckFailed(
            f"the chat template ends an answer with {token}, which is not in eos_token_id of "
            "generation_config.json: the model would not stop after its review"
        )
    return end


def make_example(
    row: ReviewRow, paper: PaperRow, tokenizer: Tokenizer, end: int, max_length: int
) -> Example:
    """The example for one review, at most ``max_length`` tokens.

    Raises:
        InputInvalid: the review leaves no room for the paper, does not end with its decision, or
            contains the end-of-turn token; or the paper has no text.
    """
    text = row.text.strip()
    if not text.endswith(verdict_line(row.decision)):
        raise InputInvalid(
            f"row {row.id}: the review does not end with {verdict_line(row.decision)!r}"
        )
    review = tokenizer.encode(text)
    if end in review:
        raise InputInvalid(f"row {row.id}: the review contains the end-of-turn token")
    answer = [*review, end]
    try:
        prompt = prompt_of(paper, tokenizer, max_length - len(answer))
    except InvalidRequest as error:
        raise InputInvalid(
            f"row {row.id}: the review takes {len(answer)} tokens of sft.max_length {max_length}, "
            f"and the rest is too little for a paper: {error}"
        ) from error
    cut = any(part.kept < part.tokens for part in prompt.sections if part.section.kind == "body")
    ids = tokenizer.encode(tokenizer.render(prompt.messages))
    return Example(row.id, prompt.messages, ids, answer, cut)


def examples_of(
    job: Job, split: str, tokenizer: PreTrainedTokenizerFast, eos_ids: Sequence[int]
) -> list[Example]:
    """The examples of all rows of a split.

    Raises:
        InputInvalid: the training split is empty, or a row can't be made into an example.
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
            raise InputInvalid(f"row {row.id}: its paper {row.paper} was not collected")
        examples.append(make_example(row, papers[row.paper], chat, end, job.recipe.sft.max_length))
    return examples


def check_columns(
    examples: Sequence[Example],
    dataset: Sequence[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
) -> None:
    """Check that a trainer's prepared dataset has every row with its whole review.

    Raises:
        CheckFailed: a row is missing or was changed.
    """
    if len(dataset) != len(examples):
        raise CheckFailed(f"the trainer kept {len(dataset)} of {len(examples)} rows")
    ends = tuple(verdict_line(decision) for decision in DECISIONS)
    for example, columns in zip(examples, dataset, strict=True):
        ids, labels = list(columns["input_ids"]), list(columns["labels"])
        trained = [label for label in labels if label != NO_LOSS]
        if len(ids) > max_length:
            raise CheckFailed(f"row {example.id}: {len(ids)} tokens, above {max_length}")
        if trained[:1] != example.answer[:1]:
            raise CheckFailed(f"row {example.id}: the first label is not the review's first token")
        if labels != [NO_LOSS] * len(example.prompt) + example.answer:
            raise CheckFailed(f"row {example.id}: the labels are not exactly the review")
        if ids != example.prompt + example.answer:
            raise CheckFailed(f"row {example.id}: the tokens are not the prompt and the review")
        if not tokenizer.decode(trained[:-1]).endswith(ends):
            raise CheckFailed(f"row {example.id}: the labels do not end with the decision")
