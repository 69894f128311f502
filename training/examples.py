"""A review to learn -> token ids: the prompt as the service sends it, the review, the turn's end.

The rows are tokenized here, not by the trainer. TRL renders prompt and answer together: what the
chat template puts after the end of the turn (a newline, with Gemma's and SmolLM2's) is learnt then,
too; and a row that is too long it cuts at its end, where the decision stands, or drops. Here the
paper's body gives way, cut by the service's packer, and the review is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.engine.base import Message, Tokenizer
from app.errors import InvalidRequest
from training.errors import CheckFailed, InputInvalid
from training.labels import DECISIONS, verdict_line
from training.prompts import prompt_of
from training.rows import PaperRow, ReviewRow

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NO_LOSS = -100
"""The label of a token that is not learnt, as torch and all of its trainers have it."""
_ANSWER = "ANSWER"


@dataclass(frozen=True, slots=True)
class Example:
    """A row that fits. ``prompt`` is ``messages`` as tokens; ``answer`` is the review with the
    end-of-turn token; ``cut`` tells that the paper's body was cut for it.
    """

    id: str
    messages: tuple[Message, Message]
    prompt: list[int]
    answer: list[int]
    cut: bool

    @property
    def columns(self) -> dict[str, list[int]]:
        """As trainers want it: the loss is on the answer only."""
        return {
            "input_ids": self.prompt + self.answer,
            "labels": [NO_LOSS] * len(self.prompt) + self.answer,
        }


def end_of_turn(tokenizer: PreTrainedTokenizerFast, eos_ids: Iterable[int]) -> int:
    """The token that the chat template closes an answer with; ``eos_ids`` end a generation.

    Raises:
        CheckFailed: there is no template; or it is no special token, or one that ends nothing.
    """
    if not tokenizer.chat_template:
        raise CheckFailed("the base's tokenizer has no chat template: it is not tuned to answer")
    chat = [{"role": "user", "content": "QUESTION"}, {"role": "assistant", "content": _ANSWER}]
    rendered = str(tokenizer.apply_chat_template(chat, tokenize=False))
    after = rendered.rpartition(_ANSWER)[2]
    ids = tokenizer.encode(after, add_special_tokens=False)
    if not ids or ids[0] not in tokenizer.all_special_ids:
        raise CheckFailed(f"the chat template closes an answer with {after!r}: no special token")
    end: int = ids[0]
    if end not in set(eos_ids):
        token = tokenizer.convert_ids_to_tokens(end)
        raise CheckFailed(
            f"the chat template closes an answer with {token}, which generation_config.json's "
            "eos_token_id lacks: the model would write on after its review"
        )
    return end


def make_example(
    row: ReviewRow, paper: PaperRow, tokenizer: Tokenizer, end: int, max_length: int
) -> Example:
    """
    Raises:
        InputInvalid: the review alone is too long; or it does not end with its decision, or ends
            its turn before; or the paper has no text.
    """
    text = row.text.strip()
    if not text.endswith(verdict_line(row.decision)):
        raise InputInvalid(
            f"row {row.id}: the review does not end with {verdict_line(row.decision)!r}"
        )
    review = tokenizer.encode(text)
    if end in review:
        raise InputInvalid(f"row {row.id}: the end-of-turn token stands within the review")
    answer = [*review, end]
    try:
        prompt = prompt_of(paper, tokenizer, max_length - len(answer))
    except InvalidRequest as error:
        raise InputInvalid(
            f"row {row.id}: the review takes {len(answer)} tokens of sft.max_length {max_length}, "
            f"and the rest is no room for a paper: {error}"
        ) from error
    cut = any(part.kept < part.tokens for part in prompt.sections if part.section.kind == "body")
    ids = tokenizer.encode(tokenizer.render(prompt.messages))
    return Example(row.id, prompt.messages, ids, answer, cut)


def check_columns(
    examples: Sequence[Example],
    dataset: Sequence[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
) -> None:
    """That a trainer, having prepared its dataset, still has every row and all of its review.

    Raises:
        CheckFailed: the row is named.
    """
    if len(dataset) != len(examples):
        raise CheckFailed(f"the trainer kept {len(dataset)} of {len(examples)} rows")
    ends = tuple(verdict_line(decision) for decision in DECISIONS)
    for example, columns in zip(examples, dataset, strict=True):
        ids, labels = list(columns["input_ids"]), list(columns["labels"])
        learnt = [label for label in labels if label != NO_LOSS]
        if len(ids) > max_length:
            raise CheckFailed(f"row {example.id}: {len(ids)} tokens, of {max_length} at most")
        if learnt[:1] != example.answer[:1]:
            raise CheckFailed(f"row {example.id}: the first label is not the review's first token")
        if labels != [NO_LOSS] * len(example.prompt) + example.answer:
            raise CheckFailed(f"row {example.id}: the labels are not the whole review and no more")
        if ids != example.prompt + example.answer:
            raise CheckFailed(f"row {example.id}: the tokens are not prompt and review")
        if not tokenizer.decode(learnt[:-1]).endswith(ends):
            raise CheckFailed(f"row {example.id}: the labels do not end with the decision")
