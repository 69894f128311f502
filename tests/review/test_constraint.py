"""Reviews that the engine can't hold to their format, or not to the end."""

from __future__ import annotations

import base64
import time
from itertools import chain
from typing import Any

import httpx
import openai
import pytest
from httpx_sse import connect_sse

from app.errors import (
    ConstraintFailed,
    EngineDied,
    EngineError,
    EngineUnavailable,
    InvalidRequest,
    ReviewerError,
    UpstreamError,
)
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW, Refused, ScriptedEngine, WordTokenizer
from tests.papers import paper_pdf

Json = dict[str, Any]
TEXT = {"title": "T", "abstract": "A", "body": "# Introduction\n\nWe count.", "reuse": False}
UNKNOWN = ConstraintFailed(InvalidRequest("There is no response_format 'structural_tag'."))


def scripted(*texts: str | Exception, **how: Any) -> ScriptedEngine:
    return ScriptedEngine(WordTokenizer(), texts or (WHOLE_REVIEW,), **how)


def review(serve: Serve, engine: ScriptedEngine, **more: Any) -> Json:
    response = serve(engine, Settings()).post("/v1/reviews", json={**TEXT, **more}, timeout=60)
    assert response.status_code == 200, response.text
    body: Json = response.json()
    return body


def events(client: httpx.Client, **more: Any) -> list[Json]:
    asked = {**TEXT, **more, "stream": True}
    with connect_sse(client, "POST", "/v1/reviews", json=asked, timeout=60) as source:
        return [event.json() for event in source.iter_sse()]


def broken_at(mark: str) -> tuple[str, str]:
    """A whole review, torn behind ``mark``: held until there, free from there."""
    at = WHOLE_REVIEW.index(mark) + len(mark)
    return Refused(WHOLE_REVIEW[:at]), WHOLE_REVIEW[at:]


MARKS = [
    "It counts",
    "It counts tokens.\n\n",
    "It counts tokens.\n\n##",
    "## Stren",
    "## Strengths",
    "- It counts them once.\n-",
    "## Final Recommendation\n",
    "recommend this paper for",
]


def test_it_is_finished_from_where_it_stands(serve: Serve) -> None:
    engine = scripted(WHOLE_REVIEW, *chain(*map(broken_at, MARKS)))
    client = serve(engine, Settings())
    whole = events(client)
    expected = whole[-1]["review"]
    assert expected["constrained"] is True
    for mark in MARKS:
        broken = events(client)
        assert [event["sequence_number"] for event in broken] == list(range(len(broken)))
        # No section told twice, no word lost.
        assert told(broken) == told(whole), mark
        body = broken[-1]["review"]
        for same in ("text", "review", "verdict", "finish_reason"):
            assert body[same] == expected[same], mark
        assert body["constrained"] is False
        held, free = engine.generations[-2:]
        begun = WHOLE_REVIEW[: WHOLE_REVIEW.index(mark) + len(mark)]
        assert held.structure
        assert (free.structure, free.prefix, free.n) == (None, begun, 1)
        assert free.max_tokens == held.max_tokens - len(engine.tokenizer.encode(begun))
        assert (free.messages, free.temperature) == (held.messages, held.temperature)


def told(stream: list[Json]) -> tuple[list[tuple[str, Any]], dict[str, str]]:
    """The sections' values in order, and the text of each."""
    sections = [e for e in stream if e["type"] == "review.section.completed"]
    texts: dict[str, str] = {}
    for event in stream:
        if event["type"] == "review.delta":
            texts[event["section"]] = texts.get(event["section"], "") + event["text"]
    return [(event["section"], event["value"]) for event in sections], texts


def test_what_is_written_freely_may_have_another_form(serve: Serve) -> None:
    loose = "\n\n**Strengths:**\n1. Quick.\n\n### Weaknesses\n* Slow.\n\nI vote to reject."
    stream = events(serve(scripted(Refused("## Summary\nIt counts."), loose), Settings()))
    body = stream[-1]["review"]
    assert body["review"]["summary"] == "It counts."
    assert [point["text"] for point in body["review"]["strengths"]] == ["Quick."]
    assert [point["text"] for point in body["review"]["weaknesses"]] == [
        "Slow.",
        "I vote to reject.",
    ]
    assert (body["verdict"]["decision"], body["verdict"]["source"]) == ("reject", "review_line")
    assert told(stream)[0] == [
        ("summary", "It counts."),
        ("strengths", ["Quick."]),
        ("weaknesses", ["Slow.", "I vote to reject."]),
    ]


def test_usage_is_added_up(serve: Serve) -> None:
    body = review(serve, scripted(*broken_at("It counts")))
    # The double counts 100, 50 and 10 for whatever it finishes, and nothing where it fails: then
    # the words are counted.
    assert body["usage"] == {"prompt_tokens": 100, "completion_tokens": 54, "cached_tokens": 10}


def test_only_the_sample_that_failed_is_continued(serve: Serve) -> None:
    held = [WHOLE_REVIEW.replace("It counts tokens.", name) for name in ("one", "three")]
    broken = Refused("## Summary\ntwo")
    rest = WHOLE_REVIEW.partition("tokens.")[2]
    engine = scripted(held[0], broken, held[1], rest, logprobs=[(-1.0, -2.0)] * 3)
    stream = events(serve(engine, Settings()), samples=3)
    assert [generation.n for generation in engine.generations] == [3, 1]
    assert engine.generations[1].prefix == broken
    ids = [generation.request_id for generation in engine.generations]
    assert len(set(ids)) == 2
    summaries = {
        event["sample"]: event["value"]
        for event in stream
        if event["type"] == "review.section.completed" and event["section"] == "summary"
    }
    assert summaries == {0: "one", 1: "two", 2: "three"}
    body = stream[-1]["review"]
    assert len(body["verdict"]["samples"]) == 3
    assert body["constrained"] is False
    prefixes = [read.prefix for read in engine.label_reads]
    assert prefixes == [f"{text.rpartition(' ')[0]}" for text in (held[0], broken + rest, held[1])]


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("first", [UNKNOWN, ConstraintFailed(EngineError("It won't compile."))])
def test_what_can_not_be_held_at_all_is_written_freely(
    serve: Serve, first: Exception, samples: int
) -> None:
    engine = scripted(first, WHOLE_REVIEW)
    body = review(serve, engine, samples=samples)
    assert body["text"] == WHOLE_REVIEW
    assert body["constrained"] is False
    held, free = engine.generations
    assert held.structure
    assert (free.structure, free.prefix, free.n) == (None, "", samples)
    assert free.max_tokens == held.max_tokens


def test_a_server_that_looks_past_the_format_is_found_out(serve: Serve) -> None:
    loose = WHOLE_REVIEW.replace("## ", "### ")
    stream = events(serve(scripted(loose), Settings()))
    body = stream[-1]["review"]
    assert body["constrained"] is False
    assert body["review"]["clarity"] == "Clear."
    assert ("clarity", "Clear.") in told(stream)[0]


@pytest.mark.parametrize("asked", [{"format": "free"}, {"mode": "verdict"}])
def test_without_a_constraint_nothing_is_said_of_it(serve: Serve, asked: Json) -> None:
    assert review(serve, scripted(), **asked)["constrained"] is None


def test_a_dead_engine_is_a_503(serve: Serve) -> None:
    client = serve(scripted(Refused("## Summary\nIt"), EngineUnavailable("died")), Settings())
    response = client.post("/v1/reviews", json=TEXT, timeout=60)
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "engine_unavailable"


@pytest.mark.parametrize("error", [InvalidRequest("no such thing"), EngineError("failed")])
def test_what_can_not_be_continued_is_kept_as_it_is(serve: Serve, error: Exception) -> None:
    body = review(serve, scripted(Refused("## Summary\nIt counts. It also"), error))
    assert body["text"] == "## Summary\nIt counts. It also"
    assert body["review"]["summary"] == "It counts."
    assert body["integrity"]["cut_sections"] == ["summary"]
    assert (body["finish_reason"], body["constrained"]) == ("error", False)
    assert (body["verdict"]["decision"], body["verdict"]["source"]) == ("accept", "probe")


def test_an_error_before_the_first_word_is_the_answer(serve: Serve) -> None:
    client = serve(scripted(UNKNOWN, InvalidRequest("too long", code="too_long")), Settings())
    response = client.post("/v1/reviews", json=TEXT, timeout=60)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "too_long"


REFUSALS = [InvalidRequest("no such thing"), EngineError("failed"), UpstreamError("nonsense")]


@pytest.mark.parametrize("error", REFUSALS)
def test_without_a_probability_the_verdict_is_what_the_text_says(
    serve: Serve, error: Exception
) -> None:
    body = review(serve, scripted(UNKNOWN, WHOLE_REVIEW, logprobs=[error]))
    assert (body["text"], body["constrained"]) == (WHOLE_REVIEW, False)
    verdict = body["verdict"]
    assert (verdict["decision"], verdict["source"]) == ("accept", "review_line")
    assert (verdict["probability"], verdict["samples"], verdict["mass"]) == (None, [], None)


def test_and_where_the_text_says_none_nothing_is_decided(serve: Serve) -> None:
    text = WHOLE_REVIEW.partition("## Final")[0]
    body = review(serve, scripted(text, logprobs=[EngineError("failed")]))
    assert body["review"]["significance"] == "Some."
    assert (body["verdict"]["decision"], body["verdict"]["source"]) == (None, None)


def test_the_other_samples_probabilities_count(serve: Serve) -> None:
    engine = scripted(logprobs=[EngineError("failed"), (-1.0, -1.0), (-1.0, -1.0)])
    assert review(serve, engine, samples=3)["verdict"]["samples"] == [0.5, 0.5]


@pytest.mark.parametrize("error", [EngineDied("died"), EngineUnavailable("away")])
def test_an_engine_that_is_gone_is_waited_for(serve: Serve, error: Exception) -> None:
    # It comes back, and with it the probability.
    client = serve(scripted(logprobs=[error]), Settings())
    response = client.post("/v1/reviews", json=TEXT, timeout=60)
    assert response.status_code == 503


@pytest.mark.parametrize("error", REFUSALS)
def test_a_verdict_alone_that_can_not_be_read_is_an_error(
    serve: Serve, error: ReviewerError
) -> None:
    client = serve(scripted(logprobs=[error]), Settings())
    response = client.post("/v1/reviews", json={**TEXT, "mode": "verdict"}, timeout=60)
    assert (response.status_code, response.json()["error"]["code"]) == (error.status, error.code)


def test_no_more_is_written_than_was_asked_for(serve: Serve) -> None:
    words = "## Summary\n" + " ".join(["word"] * 248)
    engine = scripted(Refused(words), "more")
    body = review(serve, engine, max_tokens=250)
    assert len(engine.generations) == 1
    assert (body["text"], body["finish_reason"]) == (words, "length")


def pdf_message() -> list[Any]:
    data = "data:application/pdf;base64," + base64.b64encode(paper_pdf()).decode()
    return [{"role": "user", "content": [{"type": "file", "file": {"file_data": data}}]}]


def chat(client: httpx.Client) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{client.base_url}/v1", api_key="unused", max_retries=0)


SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {"name": "r", "schema": {"type": "object"}},
}


def test_a_chat_with_a_paper_is_answered_too(serve: Serve) -> None:
    engine = scripted(*broken_at("It counts"), *broken_at("## Stren"))
    with chat(serve(engine, Settings())) as sdk:
        answer = sdk.chat.completions.create(model="scripted", messages=pdf_message())
        assert answer.choices[0].message.content == WHOLE_REVIEW
        assert (answer.model_extra or {})["review"]["constrained"] is False
        chunks = list(
            sdk.chat.completions.create(
                model="scripted",
                messages=pdf_message(),
                stream=True,
                extra_body={"reuse": False},
            )
        )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == WHOLE_REVIEW
    assert (chunks[-1].model_extra or {})["review"]["constrained"] is False


def test_an_answer_by_a_schema_is_finished_too(serve: Serve) -> None:
    with chat(serve(scripted('{"a": 1}', Refused('{"a": '), "1}"), Settings())) as sdk:
        for constrained in (True, False):
            answer = sdk.chat.completions.create(
                model="scripted",
                messages=pdf_message(),
                response_format=SCHEMA,
                extra_body={"reuse": False},
            )
            assert answer.choices[0].message.content == '{"a": 1}'
            assert (answer.model_extra or {})["review"]["constrained"] is constrained


def test_a_schema_that_can_not_be_met_is_the_clients_fault(serve: Serve) -> None:
    impossible = ConstraintFailed(InvalidRequest("No.", code="invalid_schema"))
    engine = scripted(impossible, WHOLE_REVIEW)
    with chat(serve(engine, Settings())) as sdk, pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(
            model="scripted", messages=pdf_message(), response_format=SCHEMA
        )
    assert refused.value.code == "invalid_schema"
    assert len(engine.generations) == 1


def test_in_the_background_and_counted(serve: Serve) -> None:
    client = serve(scripted(*broken_at("## Stren"), WHOLE_REVIEW), Settings())
    accepted = client.post("/v1/reviews", json={**TEXT, "background": True})
    url = f"/v1/reviews/{accepted.json()['id']}"
    ends = time.monotonic() + 20
    while (body := client.get(url).json())["status"] != "completed":
        assert time.monotonic() < ends
        time.sleep(0.02)
    assert (body["text"], body["constrained"]) == (WHOLE_REVIEW, False)
    client.post("/v1/reviews", json=TEXT, timeout=60).raise_for_status()
    page = client.get("/metrics").text
    assert "reviewer_unconstrained_reviews_total 1.0" in page
