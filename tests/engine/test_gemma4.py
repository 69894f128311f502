"""The published model's shape and vocabulary, with random weights, in the real engine."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

from app.engine.tokenizer import ChatTokenizer
from app.review.structure import review_structure
from app.review.template import VERDICT_HEADING, VERDICT_LEAD
from app.review.templates import published
from benchmarks.gemma4 import BLANK_LINE, HEADING, STOP_TOKENS, write_tiny_model
from tests.conftest import MODEL
from tests.papers import EXAMPLES
from tests.service import SMALL, Service

pytestmark = pytest.mark.xdist_group(MODEL)
Json = dict[str, Any]
END, END_OF_TURN, TOOL_RESPONSE = STOP_TOKENS
MAX_TOKENS = int(SMALL["REVIEWER_MAX_TOKENS"])
HELLO: Any = [{"role": "user", "content": "Say hello."}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It often writes the two tokens that a section ends with, and two that end a turn."""
    likes = (BLANK_LINE, HEADING, END_OF_TURN, TOOL_RESPONSE)
    try:
        return write_tiny_model(tmp_path_factory.mktemp("gemma4") / "tiny-gemma-4", likes)
    except PackageNotFoundError as missing:
        pytest.skip(f"{missing.name} is not installed: make setup")


@pytest.fixture(scope="module")
def gemma4(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    log = tmp_path_factory.mktemp("gemma4-service") / "log"
    with Service(log, **SMALL, REVIEWER_MODEL=str(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def tokens(folder: Path) -> ChatTokenizer:
    return ChatTokenizer.load(folder)


@pytest.fixture(scope="module")
def reviews(gemma4: Service) -> list[Json]:
    """Four structured ones, side by side."""
    paper = (EXAMPLES / "paper.pdf").read_bytes()

    def one(_: int) -> Json:
        answer = httpx.post(
            f"{gemma4.url}/v1/reviews",
            files={"file": ("paper.pdf", paper)},
            data={"temperature": "0.8", "reuse": "false", "format": "structured"},
            timeout=300,
        )
        assert answer.status_code == 200, answer.text
        body: Json = answer.json()
        return body

    with ThreadPoolExecutor(4) as clients:
        return list(clients.map(one, range(4)))


@pytest.fixture
def sdk(gemma4: Service) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gemma4.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def texts_of(review: str) -> Sequence[str]:
    """A review's free texts; headings and verdict must be there to the letter."""
    sections = "\n\n".join(
        f"## {re.escape(spec.heading)}\n{'-' if spec.bullets else ''}([^#]+)"
        for spec in published().sections
    )
    verdict = f"## {VERDICT_HEADING}\n{VERDICT_LEAD} (?:ACCEPTANCE|REJECTION)\\."
    whole = re.fullmatch(f"{sections}\n\n{verdict}", review)
    assert whole, review
    return whole.groups()


def test_its_reviews_are_whole(reviews: list[Json], tokens: ChatTokenizer) -> None:
    for review in reviews:
        assert review["constrained"] is True
        assert review["finish_reason"] == "stop"
        assert review["verdict"]["decision"] in ("accept", "reject")
        assert 0 < review["verdict"]["probability"] < 1
        assert "\N{REPLACEMENT CHARACTER}" not in review["text"]
        for text in texts_of(review["text"]):
            assert not [token for token in tokens.special_tokens if token in text]


def test_they_end_sections_before_their_budget(reviews: list[Json]) -> None:
    # There a grammar can have no way on: that these reviews go there makes them a test.
    used = [review["usage"]["completion_tokens"] for review in reviews]
    assert all(tokens < MAX_TOKENS * 0.8 for tokens in used), used


def test_a_paper_in_a_chat(sdk: openai.OpenAI) -> None:
    data = base64.b64encode((EXAMPLES / "paper.pdf").read_bytes()).decode()
    file = {"file_data": f"data:application/pdf;base64,{data}", "filename": "paper.pdf"}
    content: Any = [{"type": "file", "file": file}]
    answer = sdk.chat.completions.create(
        model="tiny-gemma-4",
        messages=[{"role": "user", "content": content}],
        temperature=0.8,
        extra_body={"reuse": False},
    )
    assert answer.choices[0].finish_reason == "stop"
    assert all(texts_of(answer.choices[0].message.content or ""))
    assert (answer.model_extra or {})["review"]["verdict"]["probability"]


@pytest.mark.parametrize("stop", [END, END_OF_TURN, TOOL_RESPONSE])
def test_what_ends_a_turn_ends_an_answer(sdk: openai.OpenAI, stop: int) -> None:
    answer = sdk.chat.completions.create(
        model="tiny-gemma-4",
        messages=HELLO,
        max_tokens=8,
        temperature=0,
        logit_bias={str(stop): 100},
    )
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.content) == ("stop", "")
    # vLLM names no token where it is the tokenizer's own end.
    assert (choice.model_extra or {})["stop_reason"] == (None if stop == END else stop)


@pytest.mark.parametrize("stop", [END, END_OF_TURN, TOOL_RESPONSE])
def test_and_under_the_constraint_only_where_it_may(
    sdk: openai.OpenAI, tokens: ChatTokenizer, stop: int
) -> None:
    structure = review_structure(tokens, published(), MAX_TOKENS)
    answer = sdk.chat.completions.create(
        model="tiny-gemma-4",
        messages=HELLO,
        max_tokens=MAX_TOKENS,
        temperature=0,
        logit_bias={str(stop): 100},
        extra_body={"response_format": structure},
    )
    (choice,) = answer.choices
    assert all(texts_of(choice.message.content or ""))
    assert choice.finish_reason == "stop"
    assert (choice.model_extra or {})["stop_reason"] == (None if stop == END else stop)


def test_they_end_a_review_that_is_written_freely(gemma4: Service) -> None:
    answer = httpx.post(
        f"{gemma4.url}/v1/reviews",
        json={
            "title": "T",
            "abstract": "A",
            "body": "# Introduction\n\nWe count.",
            "format": "free",
            "temperature": 0.8,
            "reuse": False,
        },
        timeout=300,
    )
    review = answer.raise_for_status().json()
    assert review["finish_reason"] == "stop"
    assert review["usage"]["completion_tokens"] < MAX_TOKENS
    assert not re.search(r"<\|?\w+\|?>", review["text"])


def test_the_engine_ends_with_a_service_that_is_killed(gemma4: Service) -> None:
    """The very last test of this service."""
    engines = gemma4.engine_processes()
    assert engines
    gemma4.process.kill()
    gemma4.process.wait()
    _, alive = psutil.wait_procs(engines, timeout=10)
    assert not alive
