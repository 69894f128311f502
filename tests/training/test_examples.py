"""Rows as tokens: the review whole, the paper cut, the loss on the review only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from app.engine.tokenizer import ChatTokenizer
from app.review.packing import pack
from app.review.templates import published
from tests.doubles import WHOLE_REVIEW
from tests.training.tiny import SPECIAL, paper_row, review_row, tiny_tokenizer
from training.errors import CheckFailed, InputInvalid
from training.examples import NO_LOSS, Example, check_columns, end_of_turn, make_example
from training.rows import blinded_paper

END = SPECIAL.index("<turn|>")
LENGTH = 512


@pytest.fixture(scope="module")
def tiny() -> PreTrainedTokenizerFast:
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def chat(tiny: PreTrainedTokenizerFast) -> ChatTokenizer:
    return ChatTokenizer(tiny)


def example_of(chat: ChatTokenizer, paragraphs: int = 3, **row: Any) -> Example:
    return make_example(review_row(1, **row), paper_row(1, paragraphs), chat, END, LENGTH)


def test_a_row_is_the_services_prompt_then_the_review_then_the_end_of_the_turn(
    tiny: PreTrainedTokenizerFast, chat: ChatTokenizer
) -> None:
    example = example_of(chat)
    prompt = pack(blinded_paper(paper_row(1)), chat, 4096, published())
    assert example.prompt == chat.encode(chat.render(prompt.messages))
    assert tiny.decode(example.answer) == WHOLE_REVIEW + "<turn|>"
    assert not example.cut
    labels = example.columns["labels"]
    assert labels.count(NO_LOSS) == len(example.prompt)
    learnt = [label for label in labels if label != NO_LOSS]
    assert tiny.decode(learnt[0]) == "##"
    assert tiny.decode(learnt[-9:]).endswith("I recommend this paper for ACCEPTANCE.<turn|>")


def test_a_long_paper_gives_way_and_the_review_stays_whole(chat: ChatTokenizer) -> None:
    example = example_of(chat, paragraphs=200)
    assert example.cut
    assert example.answer == example_of(chat).answer
    assert LENGTH - 100 <= len(example.columns["input_ids"]) <= LENGTH


def test_a_review_that_leaves_no_room_is_refused_by_name(chat: ChatTokenizer) -> None:
    text = WHOLE_REVIEW.replace("Sound.", "Sound. " * 400)
    with pytest.raises(InputInvalid, match=r"row review/1: the review takes \d+ tokens"):
        example_of(chat, text=text)


def test_a_review_that_ends_otherwise_than_its_row_says_is_refused(chat: ChatTokenizer) -> None:
    with pytest.raises(InputInvalid, match=r"row review/1.*does not end with .*REJECTION"):
        make_example(
            review_row(1, "reject", WHOLE_REVIEW.replace("ACCEPTANCE.", "")),
            paper_row(1),
            chat,
            END,
            LENGTH,
        )
    with pytest.raises(InputInvalid, match="contains the end-of-turn token"):
        example_of(chat, text=WHOLE_REVIEW.replace("Clear.", "Clear.<turn|>"))


def test_the_end_of_the_turn_is_read_from_the_chat_template(tiny: PreTrainedTokenizerFast) -> None:
    assert end_of_turn(tiny, [1, END]) == END
    with pytest.raises(CheckFailed, match=r"<turn\|>.*would not stop"):
        end_of_turn(tiny, [1])
    plain = tiny_tokenizer()
    plain.chat_template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    with pytest.raises(CheckFailed, match="not a special token"):
        end_of_turn(plain, [1])
    plain.chat_template = None
    with pytest.raises(CheckFailed, match="no chat template"):
        end_of_turn(plain, [1])


def test_the_embedded_models_turn_ends_without_the_newline_after_it(
    tokenizer: ChatTokenizer, model_folder: Any
) -> None:
    from transformers import AutoTokenizer

    smollm2 = AutoTokenizer.from_pretrained(model_folder)
    end = end_of_turn(smollm2, [2])
    example = make_example(review_row(1), paper_row(1), tokenizer, end, LENGTH)
    assert tokenizer.decode(example.answer) == WHOLE_REVIEW + "<|im_end|>"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda columns: columns[:1], "kept 1 of 2 rows"),
        (lambda columns: _each(columns, lambda ids: ids[:-1]), "row review/1: the labels are not"),
        (lambda columns: _each(columns, lambda ids: ids[1:]), "row review/1: the labels are not"),
        (
            lambda columns: [{**row, "labels": row["input_ids"]} for row in columns],
            "row review/1: the first label",
        ),
        (
            lambda columns: [{**row, "input_ids": row["labels"]} for row in columns],
            "row review/1: the tokens are not",
        ),
    ],
    ids=["a row lost", "end cut", "start cut", "loss on the prompt", "other tokens"],
)
def test_what_a_trainer_does_to_a_row_is_noticed(
    change: Any, told: str, tiny: PreTrainedTokenizerFast, chat: ChatTokenizer
) -> None:
    examples = [example_of(chat), example_of(chat, decision="reject")]
    columns = [example.columns for example in examples]
    check_columns(examples, columns, tiny, LENGTH)
    with pytest.raises(CheckFailed, match=told):
        check_columns(examples, change(columns), tiny, LENGTH)


def test_a_row_must_fit_and_end_with_its_decision(
    tiny: PreTrainedTokenizerFast, chat: ChatTokenizer
) -> None:
    example = example_of(chat)
    with pytest.raises(CheckFailed, match="above 300"):
        check_columns([example], [example.columns], tiny, 300)
    cut = replace(example, answer=[*example.answer[:-2], END])
    with pytest.raises(CheckFailed, match="do not end with the decision"):
        check_columns([cut], [cut.columns], tiny, LENGTH)


def _each(columns: Any, change: Any) -> Any:
    return [{name: change(ids) for name, ids in row.items()} for row in columns]
