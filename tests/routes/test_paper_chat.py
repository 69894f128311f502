"""A PDF attached to a chat completion, by the official OpenAI SDK."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from app.api.schemas.review import Review
from app.engine.tokenizer import ChatTokenizer
from app.errors import EngineUnavailable
from app.review.templates import own_templates
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW, ScriptedEngine
from tests.papers import encrypted_pdf, paper_pdf

PDF = "data:application/pdf;base64," + base64.b64encode(paper_pdf()).decode()


FILE = {"type": "file", "file": {"file_data": PDF}}


def attached(data: str = PDF, **more: Any) -> list[ChatCompletionMessageParam]:
    file: dict[str, Any] = {"file_data": data, "filename": "paper.pdf", **more}
    parts: list[Any] = [
        {"type": "text", "text": "Please review this."},
        {"type": "file", "file": file},
    ]
    return [{"role": "user", "content": parts}]


def review_of(answer: Any) -> Review:
    return Review.model_validate(answer.model_extra["review"])


@pytest.fixture(scope="module")
def answer(sdk: openai.OpenAI) -> ChatCompletion:
    """By the real model."""
    return sdk.chat.completions.create(model="smollm2", messages=attached())


def test_the_answer_is_the_review(answer: ChatCompletion) -> None:
    review = review_of(answer)
    (choice,) = answer.choices
    assert choice.message.role == "assistant"
    assert choice.message.content == review.text
    assert choice.message.content.startswith("## Summary\n")
    assert choice.finish_reason == "stop"
    assert answer.id == f"chatcmpl-{review.id}"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == review.usage.prompt_tokens
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_whole_resource_stands_beside_it(answer: ChatCompletion) -> None:
    review = review_of(answer)
    assert review.paper.title == "Counting Tokens Twice Is Once Too Often"
    assert review.verdict.decision in ("accept", "reject")
    assert review.verdict.probability is not None


def test_streamed(sdk: openai.OpenAI) -> None:
    chunks = list(
        sdk.chat.completions.create(
            model="smollm2",
            messages=attached(),
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"reuse": False},
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    content = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    *_, last, usage = chunks
    assert last.choices[0].finish_reason == "stop"
    assert review_of(last).text == content
    assert usage.usage is not None
    assert not usage.choices
    assert len({chunk.id for chunk in chunks}) == 1
    assert len(chunks) > 30


def test_an_answer_by_a_json_schema(sdk: openai.OpenAI) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {
            "topic": {"type": "string", "maxLength": 60},
            "decision": {"type": "string", "enum": ["accept", "reject"]},
        },
        "required": ["topic", "decision"],
        "additionalProperties": False,
    }
    answer = sdk.chat.completions.create(
        model="smollm2",
        messages=attached(),
        max_completion_tokens=200,
        response_format={"type": "json_schema", "json_schema": {"name": "r", "schema": schema}},
    )
    assert answer.choices[0].finish_reason == "stop"
    parsed = json.loads(answer.choices[0].message.content or "")
    assert set(parsed) == {"topic", "decision"}
    # No verdict line in such an answer, so the model is asked.
    assert review_of(answer).verdict.source == "probe"


def test_any_json(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="smollm2",
        messages=attached(),
        max_tokens=24,
        temperature=0,
        response_format={"type": "json_object"},
    )
    assert (answer.choices[0].message.content or "").lstrip().startswith("{")


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"$ref": "#/$defs/nowhere"},
        {"type": "string", "pattern": "(a+)+("},
        {"type": "string", "pattern": "((a|a)*)*" * 50},
        {"type": "string", "minLength": 10**12},
        {"type": "array", "items": {"type": "integer"}, "minItems": 10**9},
        {"enum": []},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": "object", "properties": 7},
        nested(300),
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
    ],
    ids=lambda schema: json.dumps(schema)[:40],
)
def test_a_hostile_schema_costs_its_own_request_and_no_other(
    sdk: openai.OpenAI, schema: dict[str, Any]
) -> None:
    asked: Any = {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}}
    asked = {"model": "smollm2", "messages": attached(), "max_tokens": 20, "response_format": asked}
    answer = httpx.post(f"{sdk.base_url}chat/completions", json=asked, timeout=60)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 400:
        assert answer.json()["error"]["code"]
    after = sdk.chat.completions.create(
        model="smollm2", messages=[{"role": "user", "content": "Hello"}], max_tokens=1, timeout=60
    )
    assert after.choices


Client = tuple[openai.OpenAI, ScriptedEngine]


@pytest.fixture
def scripted(serve: Serve, tokenizer: ChatTokenizer) -> Client:
    engine = ScriptedEngine(tokenizer)
    client = serve(engine, Settings())
    return openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="unused", max_retries=0), engine


def test_parameters_of_a_review_go_along(scripted: Client) -> None:
    sdk, engine = scripted
    answer = sdk.chat.completions.create(
        model="scripted",
        messages=[{"role": "system", "content": "Be kind."}, *attached()],
        max_completion_tokens=900,
        temperature=0.7,
        user="someone",
        extra_body={"samples": 2, "template": "acl", "format": "free"},
    )
    review = review_of(answer)
    assert (review.template, len(review.verdict.samples)) == ("acl", 2)
    (generation,) = engine.generations
    assert (generation.n, generation.max_tokens, generation.temperature) == (2, 900, 0.7)
    # The template asks, nobody else.
    assert generation.messages[0].content == own_templates()["acl"].system
    assert "Be kind" not in str(generation.messages)
    assert "Please review this" not in str(generation.messages)


def test_a_failure_in_a_stream_is_raised_by_the_sdk(serve: Serve, tokenizer: ChatTokenizer) -> None:
    client = serve(ScriptedEngine(tokenizer, [EngineUnavailable("died")]), Settings())
    sdk = openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="unused", max_retries=0)
    chunks = sdk.chat.completions.create(model="scripted", messages=attached(), stream=True)
    with pytest.raises(openai.APIError, match="died") as raised:
        list(chunks)
    assert raised.value.code == "engine_unavailable"


def encoded(data: bytes) -> str:
    return "data:application/pdf;base64," + base64.b64encode(data).decode()


FOLLOW_UP: list[ChatCompletionMessageParam] = [
    *attached(),
    {"role": "assistant", "content": WHOLE_REVIEW},
    {"role": "user", "content": "Why so harsh?"},
]


@pytest.mark.parametrize(
    ("messages", "status", "code", "param"),
    [
        (attached("data:application/pdf;base64,no!"), 400, "invalid_base64", "file_data"),
        (attached(PDF + "x"), 400, "invalid_base64", "file_data"),
        (attached("data:image/png;base64,AAAA"), 400, "unsupported_file_type", "file_data"),
        (attached("data:;base64,AAAA"), 400, "unsupported_file_type", "file_data"),
        (attached("data:application/pdf,AAAA"), 400, "invalid_value", "file_data"),
        (attached("JVBERi0xLjcK"), 400, "invalid_value", "file_data"),
        (attached(""), 400, "invalid_value", "file_data"),
        ([{"role": "user", "content": [{"type": "file"}]}], 400, "missing_field", "file_data"),
        (
            [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
            400,
            "missing_field",
            "file_data",
        ),
        (
            [{"role": "user", "content": [FILE, FILE]}],
            400,
            "too_many_files",
            "messages",
        ),
        (attached() + attached(), 400, "too_many_files", "messages"),
        (FOLLOW_UP, 400, "invalid_value", "messages"),
        ([{**attached()[0], "role": "system"}], 400, "invalid_value", "messages"),
        (attached(encoded(b"")), 422, "pdf_empty", "file"),
        (attached(encoded(b"no PDF")), 422, "not_a_pdf", "file"),
        (attached(encoded(encrypted_pdf())), 422, "pdf_encrypted", "file"),
    ],
)
def test_attachments_that_are_no_paper(
    scripted: Client, messages: Sequence[Any], status: int, code: str, param: str
) -> None:
    sdk, engine = scripted
    with pytest.raises(openai.APIStatusError) as refused:
        sdk.chat.completions.create(model="scripted", messages=list(messages))
    assert (refused.value.status_code, refused.value.code) == (status, code)
    assert refused.value.param == param
    assert not engine.generations
    assert not engine.label_reads


@pytest.mark.parametrize(
    ("asked", "code", "param"),
    [
        ({"n": 2}, "invalid_value", "n"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "unknown_field", "tools"),
        ({"logprobs": True}, "unknown_field", "logprobs"),
        ({"stop": "x"}, "unknown_field", "stop"),
        ({"max_completion_tokens": 0}, "invalid_value", "max_completion_tokens"),
        ({"response_format": {"type": "json_schema"}}, "invalid_value", "response_format"),
        ({"response_format": {"type": "xml"}}, "invalid_value", "response_format.type"),
        ({"mode": "verdict"}, "invalid_value", "mode"),
        ({"samples": 2, "stream": True}, "invalid_value", "samples"),
        ({"template": "none"}, "unknown_template", "template"),
        ({"model": "gpt-4"}, "model_not_found", "model"),
    ],
)
def test_what_can_not_be_asked_for_with_a_paper(
    scripted: Client, asked: dict[str, Any], code: str, param: str
) -> None:
    sdk, engine = scripted
    body = {"model": "scripted", "messages": attached(), **asked}
    response = httpx.post(f"{sdk.base_url}chat/completions", json=body)
    detail = response.json()["error"]
    assert response.status_code == (404 if asked.get("model") else 400)
    assert (detail["code"], detail["param"]) == (code, param)
    assert not engine.generations


def test_what_means_nothing_is_taken_beside_a_paper(scripted: Client) -> None:
    """Clients send all parameters that they know, most of them as if they were not."""
    sdk, _ = scripted
    neutral: dict[str, Any] = {
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "stop": None,
        "tools": [],
        "tool_choice": "auto",
        "logprobs": False,
        "logit_bias": {},
        "max_tokens": None,
    }
    body = {"model": "scripted", "messages": attached(), **neutral}
    response = httpx.post(f"{sdk.base_url}chat/completions", json=body, timeout=60)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("head", ["data:application/pdf;name=a%20paper.pdf;base64,", PDF[:28]])
def test_base64_as_mail_and_browsers_make_it(scripted: Client, head: str) -> None:
    sdk, _ = scripted
    data = head + base64.encodebytes(paper_pdf()).decode()
    response = httpx.post(
        f"{sdk.base_url}chat/completions",
        json={"model": "scripted", "messages": attached(data)},
        timeout=60,
    )
    assert response.status_code == 200, response.text


def test_a_word_in_a_text_attaches_no_file(scripted: Client) -> None:
    sdk, engine = scripted
    body = {"messages": [{"role": "user", "content": 'a "file"'}]}
    answer = httpx.post(f"{sdk.base_url}chat/completions", json=body)
    assert answer.json() == {"object": "list", "data": []}
    assert json.loads(engine.chats[0]) == body
