"""The official OpenAI SDK against the service."""

from __future__ import annotations

import json

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from app.engine.tokenizer import ChatTokenizer
from app.review.structure import review_structure
from app.review.templates import published

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say hello."}]


def test_models(sdk: openai.OpenAI) -> None:
    assert [model.id for model in sdk.models.list()] == ["smollm2"]


def test_plain(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=8)
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 8


def test_streamed_with_usage(sdk: openai.OpenAI) -> None:
    chunks = list(
        sdk.chat.completions.create(
            model="smollm2",
            messages=HELLO,
            max_tokens=8,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    plain = sdk.chat.completions.create(
        model="smollm2", messages=HELLO, max_tokens=8, temperature=0
    )
    assert streamed == plain.choices[0].message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens <= 8


def test_several_answers(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=8, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]


def test_stop(sdk: openai.OpenAI) -> None:
    whole = sdk.chat.completions.create(
        model="smollm2", messages=HELLO, max_tokens=16, temperature=0
    )
    text = whole.choices[0].message.content
    assert text
    stop = text.split()[1]
    cut = sdk.chat.completions.create(
        model="smollm2", messages=HELLO, max_tokens=16, temperature=0, stop=stop
    )
    assert cut.choices[0].message.content == text[: text.index(stop)]
    assert cut.choices[0].finish_reason == "stop"


def test_logprobs(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="smollm2", messages=HELLO, max_tokens=3, temperature=0, logprobs=True, top_logprobs=4
    )
    assert answer.choices[0].logprobs is not None
    tokens = answer.choices[0].logprobs.content
    assert tokens
    assert all(len(token.top_logprobs) == 4 and token.logprob <= 0 for token in tokens)


def test_json_schema(sdk: openai.OpenAI) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {
            "decision": {"type": "string", "enum": ["accept", "reject"]},
            "score": {"type": "integer", "minimum": 1, "maximum": 9},
        },
        "required": ["decision", "score"],
        "additionalProperties": False,
    }
    answer = sdk.chat.completions.create(
        model="smollm2",
        messages=[{"role": "user", "content": "Judge the paper, as JSON."}],
        max_tokens=64,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "verdict", "schema": schema},
        },
    )
    parsed = json.loads(answer.choices[0].message.content or "")
    assert parsed["decision"] in ("accept", "reject")
    assert 1 <= parsed["score"] <= 9


def test_the_reviews_structure_works_here_too(sdk: openai.OpenAI, tokenizer: ChatTokenizer) -> None:
    answer = sdk.chat.completions.create(
        model="smollm2",
        messages=HELLO,
        max_tokens=256,
        temperature=1.0,
        extra_body={"response_format": review_structure(tokenizer, published(), 256)},
    )
    text = answer.choices[0].message.content or ""
    assert text.startswith("## Summary\n")
    assert text.endswith(("for ACCEPTANCE.", "for REJECTION."))


def test_an_unknown_model(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        sdk.chat.completions.create(model="gpt-4", messages=HELLO)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": 7.0},
        {"max_tokens": 10**6},
        {"messages": []},
        {"top_p": 2.0},
        {"messages": [{"role": "user", "content": "word " * 20_000}]},
    ],
)
def test_parameters_out_of_range(sdk: openai.OpenAI, wrong: dict[str, object]) -> None:
    asked: dict[str, object] = {"model": "smollm2", "messages": HELLO, **wrong}
    with pytest.raises(openai.BadRequestError):
        sdk.chat.completions.create(**asked)  # type: ignore[call-overload]


def test_a_seed_does_not_kill_the_engine(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(model="smollm2", messages=HELLO, seed=1, temperature=1)
    assert refused.value.code == "seed_unsupported"
    assert sdk.chat.completions.create(model="smollm2", messages=HELLO, max_tokens=1).choices
