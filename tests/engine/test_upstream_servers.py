"""What servers that are not vLLM answer, in the shapes that they really answer in.

llama.cpp's server and ``transformers serve`` as recorded from them, SGLang's from its source
(0.5.23); ``benchmarks/upstreams.py`` runs those that can be had.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.engine.base import Message, NextTokenQuery, Usage
from app.engine.launcher import engine_launcher
from app.engine.tokenizer import ChatTokenizer
from app.errors import ConstraintFailed, InvalidRequest, UpstreamError
from tests.engine.stub import (
    CONTINUES,
    JSON,
    SSE,
    Answer,
    Upstream,
    one_token,
    piece,
    stream,
    upstream,
)
from tests.engine.test_engines import ASK, complete
from tests.engine.upstreams import CONSTRAINED, engine_for, settings_for, until_it_fails

pytestmark = pytest.mark.anyio

ACCEPT, REJECT = 34198, 12710
READ = NextTokenQuery(
    "labels", (Message("user", "x"),), "I recommend this paper for", (ACCEPT, REJECT)
)
DONE = "[DONE]"


@pytest.fixture
def stub() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


def answer(status: int, body: Any) -> Answer:
    return (status, JSON, json.dumps(body).encode())


LLAMA_MODELS = {
    "models": [{"name": "smollm2", "capabilities": ["completion"]}],
    "object": "list",
    "data": [
        {
            "id": "smollm2",
            "aliases": ["smollm2"],
            "object": "model",
            "created": 1795830125,
            "owned_by": "llamacpp",
            "meta": {"n_vocab": 49152, "n_ctx": 4096, "n_ctx_train": 8192, "ftype": "Q4_1"},
        }
    ],
}
LLAMA_NO_TAGS = {
    "error": {
        "code": 400,
        "message": 'response_format type must be one of "text" or "json_object", '
        "but got: structural_tag",
        "type": "invalid_request_error",
    }
}
LLAMA_NO_N = {
    "error": {
        "code": 400,
        "message": "Field 'n': Value must be between 1 <= value <= 2, but got 3",
        "type": "invalid_request_error",
    }
}
TRANSFORMERS_UNEXPECTED = {"detail": "Unexpected fields in the request: {'top_k'}"}
SGLANG_REFUSAL = {
    "object": "error",
    "message": "Messages cannot be empty.",
    "type": "BadRequestError",
    "param": None,
    "code": 400,
}


def llama_chunk(delta: dict[str, Any], finish_reason: str | None = None) -> str:
    choice = {"finish_reason": finish_reason, "index": 0, "delta": delta}
    return json.dumps({"choices": [choice], "object": "chat.completion.chunk"})


def llama_usage(prompt: int, completion: int, cached: int) -> str:
    usage = {
        "completion_tokens": completion,
        "prompt_tokens": prompt,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    return json.dumps({"choices": [], "usage": usage, "timings": {"cache_n": cached}})


def llama_stream(text: str, cached: int = 0) -> Answer:
    chunks = (
        llama_chunk({"role": "assistant", "content": None}),
        llama_chunk({"content": text}),
        llama_chunk({}, "stop"),
        llama_usage(34, 6, cached),
    )
    return (200, SSE, stream(*chunks, DONE))


def llama_label(*likely: tuple[int, str, float]) -> Answer:
    told = [
        {"id": token, "token": text, "bytes": list(text.encode()), "logprob": logprob}
        for token, text, logprob in likely
    ]
    choice = {
        "finish_reason": "length",
        "index": 0,
        "message": {"role": "assistant", "content": f"{READ.prefix}{likely[0][1]}"},
        "logprobs": {"content": [{**told[0], "top_logprobs": told}]},
    }
    usage = {"completion_tokens": 1, "prompt_tokens": 62, "total_tokens": 63}
    return answer(200, {"choices": [choice], "usage": usage})


async def test_llama_cpp_tells_its_context_in_its_own_way(stub: Upstream) -> None:
    """That of one slot; a prompt longer than it would be refused."""
    stub.models = answer(200, LLAMA_MODELS)
    engine = await engine_launcher(settings_for(stub.url))()
    await engine.close()
    assert engine.model.max_model_len == 4096


async def test_llama_cpp_streams(stub: Upstream, tokenizer: ChatTokenizer) -> None:
    stub.answer = llama_stream("Twelve", cached=33)
    engine = engine_for(stub, tokenizer)
    text, last = await complete(engine, ASK)
    await engine.close()
    assert (text, last.finish_reason, last.usage) == ("Twelve", "stop", Usage(34, 6, 33))


async def test_llama_cpp_has_no_structural_tags(stub: Upstream, tokenizer: ChatTokenizer) -> None:
    stub.answer = answer(400, LLAMA_NO_TAGS)
    engine = engine_for(stub, tokenizer)
    _, failure = await until_it_fails(engine, replace(CONSTRAINED, n=2))
    await engine.close()
    assert isinstance(failure.refusal, InvalidRequest)
    assert "structural_tag" in failure.refusal.message


async def test_more_samples_than_llama_cpp_has_slots_come_one_after_the_other(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    stub.next_answers.append(answer(400, LLAMA_NO_N))
    stub.next_answers.append(answer(400, LLAMA_NO_N))
    stub.next_answers.extend(llama_stream(text, 33) for text in "abc")
    engine = engine_for(stub, tokenizer)
    texts: dict[int, str] = {}
    async for delta in engine.generate(replace(ASK, n=3, top_k=40)):
        texts[delta.index] = texts.get(delta.index, "") + delta.text
    await engine.close()
    assert texts == {0: "a", 1: "b", 2: "c"}
    assert delta.usage == Usage(34, 18, 33)
    assert [asked.get("n") for asked in stub.asked] == [3, 3, None, None, None]


async def test_the_samples_that_a_server_leaves_out_are_drawn_alone(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    """``transformers serve`` ignores ``n``, and says so in its log only."""
    stub.next_answers.extend((200, SSE, stream(piece(text, "stop"))) for text in "ab")
    engine = engine_for(stub, tokenizer)
    request = replace(ASK, n=2, seed=7)
    texts = [delta.text async for delta in engine.generate(request) if delta.text]
    await engine.close()
    assert texts == ["a", "b"]
    assert [asked["seed"] for asked in stub.asked] == [7, 8]


async def test_half_a_sample_is_not_begun_again(stub: Upstream, tokenizer: ChatTokenizer) -> None:
    half = json.dumps({"choices": [{"index": 1, "delta": {"content": "half"}}]})
    stub.answer = (200, SSE, stream(half, piece("whole", "stop"), DONE))
    engine = engine_for(stub, tokenizer)
    with pytest.raises(UpstreamError, match="1 of 2 samples"):
        await complete(engine, replace(ASK, n=2))
    await engine.close()
    assert len(stub.asked) == 1


async def test_llama_cpps_labels_are_known_by_their_ids(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    """A token of the same text is another."""
    stub.next_answers.extend(CONTINUES)
    stub.answer = llama_label((ACCEPT, " ACC", -0.5), (7, " ACC", -1.0), (REJECT, " RE", -1.5))
    engine = engine_for(stub, tokenizer)
    assert (await engine.next_token_logprobs(READ)).by_token == {ACCEPT: -0.5, REJECT: -1.5}
    await engine.close()


async def test_two_tokens_of_one_text_tell_nothing(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    stub.next_answers.extend(CONTINUES)
    stub.answer = one_token(62, (" ACC", -0.5), (" ACC", -1.0), (" RE", -1.5))
    engine = engine_for(stub, tokenizer)
    assert (await engine.next_token_logprobs(READ)).by_token == {REJECT: -1.5}
    await engine.close()


async def test_more_of_the_likeliest_are_asked_for_where_the_labels_are_not_among_them(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    few, many = [(" ACC", -0.5), (" The", -1.5)], [(" ACC", -0.5), (" The", -1.5), (" RE", -9.0)]
    stub.next_answers.extend([*CONTINUES, one_token(62, *few), one_token(62, *many)])
    engine = engine_for(stub, tokenizer)
    assert (await engine.next_token_logprobs(READ)).by_token == {ACCEPT: -0.5, REJECT: -9.0}
    await engine.close()
    assert [asked["top_logprobs"] for asked in stub.asked] == [2, 2, 20, 2000]


async def test_who_tells_no_more_than_twenty_is_believed(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    stub.next_answers.extend([*CONTINUES, one_token(62, (" ACC", -0.5))])
    stub.answer = answer(400, {"error": {"message": "top_logprobs must be at most 20"}})
    engine = engine_for(stub, tokenizer)
    assert (await engine.next_token_logprobs(READ)).by_token == {ACCEPT: -0.5}
    await engine.close()


# SmolLM2's template: 36 tokens with the question alone, 62 with the answer begun, 68 where it is
# closed and another begun, 67 where it is taken for the user's.
@pytest.mark.parametrize(
    "prompt_tokens", [(36, 68), (36, 67), (36, 36), (12, 44), (0, 0), (62, 36), (36, 70)]
)
async def test_who_does_not_go_on_with_the_answer_tells_no_probability(
    stub: Upstream, tokenizer: ChatTokenizer, prompt_tokens: tuple[int, int]
) -> None:
    """``transformers serve`` closes it; SGLang, if not asked to go on, makes it the user's."""
    stub.next_answers.extend(one_token(told, (" The", -1.0)) for told in prompt_tokens)
    stub.answer = one_token(99, (" ACC", -0.5), (" RE", -1.5))
    engine = engine_for(stub, tokenizer)
    assert (await engine.next_token_logprobs(READ)).by_token == {}
    with pytest.raises(UpstreamError, match="can't continue"):
        await complete(engine, replace(ASK, prefix="## Sum"))
    await engine.close()
    assert len(stub.asked) == 2


@pytest.mark.parametrize("prompt_tokens", [(36, 62), (16, 42), (37, 62), (40, 62)])
async def test_who_goes_on_is_found_out_once(
    stub: Upstream, tokenizer: ChatTokenizer, prompt_tokens: tuple[int, int]
) -> None:
    """Whatever its own template adds before the question."""
    stub.next_answers.extend(one_token(told, (" The", -1.0)) for told in prompt_tokens)
    stub.answer = one_token(99, (" ACC", -0.5), (" RE", -1.5))
    engine = engine_for(stub, tokenizer)
    for _ in range(2):
        assert (await engine.next_token_logprobs(READ)).by_token == {ACCEPT: -0.5, REJECT: -1.5}
    await engine.close()
    assert len(stub.asked) == 4
    assert stub.asked[-1]["messages"][-1] == {"role": "assistant", "content": READ.prefix}
    assert stub.asked[-1]["continue_final_message"] is True
    assert stub.asked[-1]["add_generation_prompt"] is False


async def test_an_answer_that_has_begun_is_gone_on_with(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    stub.next_answers.extend(CONTINUES)
    stub.answer = (200, SSE, stream(piece("mary", "stop")))
    engine = engine_for(stub, tokenizer)
    assert (await complete(engine, replace(ASK, prefix="## Sum")))[0] == "mary"
    await engine.close()
    asked = stub.asked[-1]
    assert asked["messages"][-1] == {"role": "assistant", "content": "## Sum"}
    assert asked["continue_final_message"] is True


async def test_who_tells_no_probabilities_is_asked_for_none(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    """``transformers serve`` ignores ``logprobs``, and reads the whole prompt again for nothing."""
    stub.next_answers.extend(one_token(told) for told in (36, 62))
    engine = engine_for(stub, tokenizer)
    found = await engine.next_token_logprobs(READ)
    await engine.close()
    assert (found.by_token, found.usage, len(stub.asked)) == ({}, Usage(), 2)


async def test_who_refuses_to_tell_probabilities_writes_all_the_same(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    stub.answer = answer(400, {"error": {"message": "logprobs is not supported with this model"}})
    engine = engine_for(stub, tokenizer)
    assert (await engine.next_token_logprobs(READ)).by_token == {}
    stub.answer = (200, SSE, stream(piece("a", "stop")))
    assert (await complete(engine, ASK))[0] == "a"
    await engine.close()


async def test_words_that_a_server_does_not_know_are_left_out(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    stub.next_answers.append(answer(422, TRANSFORMERS_UNEXPECTED))
    stub.answer = (200, SSE, stream(piece("a", "stop")))
    engine = engine_for(stub, tokenizer)
    assert (await complete(engine, replace(ASK, top_k=64)))[0] == "a"
    await engine.close()
    assert [asked.get("top_k") for asked in stub.asked] == [64, None]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (TRANSFORMERS_UNEXPECTED, "Unexpected fields in the request: {'top_k'}"),
        (SGLANG_REFUSAL, "Messages cannot be empty."),
        (LLAMA_NO_TAGS, LLAMA_NO_TAGS["error"]["message"]),
    ],
)
async def test_each_servers_refusal_is_read(
    stub: Upstream, tokenizer: ChatTokenizer, body: Any, message: str
) -> None:
    stub.answer = answer(400, body)
    engine = engine_for(stub, tokenizer)
    with pytest.raises(InvalidRequest) as refused:
        await complete(engine, ASK)
    await engine.close()
    assert refused.value.message == message


async def test_sglangs_error_in_a_stream_ends_the_constraint(
    stub: Upstream, tokenizer: ChatTokenizer
) -> None:
    """A grammar that it can't compile is an abort, told in the stream."""
    failure = json.dumps({"error": {**SGLANG_REFUSAL, "message": "Invalid grammar"}})
    stub.answer = (200, SSE, stream(failure, DONE))
    engine = engine_for(stub, tokenizer)
    with pytest.raises(ConstraintFailed):
        await complete(engine, CONSTRAINED)
    await engine.close()
