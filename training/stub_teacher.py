"""A local server with made-up reviews, for the smoke recipe (``teach.provider: stub``) and tests.

It implements OpenAI's chat completions and Vertex AI's generateContent, and includes thinking in
its answers as real models do.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from app.review.template import ACCEPTANCE, LISTS, REJECTION, VERDICT_HEADING, VERDICT_LEAD
from app.review.templates import published

THOUGHT = "Let me think about whether I should accept it."
_TITLE = re.compile(r"^Title: (.*)$", re.MULTILINE)


def stub_review(prompt: str) -> str:
    """A review in the published format. The prompt's hash decides: about half are accepted."""
    title = found[1] if (found := _TITLE.search(prompt)) else "the paper"
    digest = hashlib.sha256(prompt.encode()).digest()
    parts = []
    for spec in published().sections:
        subject = f"of {title}" if spec.field == "summary" else "of the paper"
        sentence = f"This is what a reviewer would say about the {spec.heading.lower()} {subject}."
        bullets = "\n".join(f"- Point {n}. {sentence}" for n in (1, 2))
        parts.append(f"## {spec.heading}\n{bullets if spec.field in LISTS else sentence}")
    word = ACCEPTANCE if digest[0] % 2 else REJECTION
    parts.append(f"## {VERDICT_HEADING}\n{VERDICT_LEAD} {word}.")
    return "\n\n".join(parts)


async def _chat_completions(request: Request) -> Response:
    body = await request.json()
    prompt = body["messages"][-1]["content"]
    review = stub_review(prompt)
    message = {
        "role": "assistant",
        "content": f"<think>{THOUGHT}</think>\n{review}",
        "reasoning_content": THOUGHT,
    }
    thinking, written = _tokens(THOUGHT), _tokens(review)
    usage = {
        "prompt_tokens": _tokens(prompt),
        "completion_tokens": thinking + written,
        "total_tokens": _tokens(prompt) + thinking + written,
        "completion_tokens_details": {"reasoning_tokens": thinking},
    }
    return JSONResponse(
        {
            "id": "stub",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }
    )


async def _generate_content(request: Request) -> Response:
    body = await request.json()
    prompt = body["contents"][-1]["parts"][0]["text"]
    review = stub_review(prompt)
    parts = [{"text": THOUGHT, "thought": True}, {"text": review}]
    return JSONResponse(
        {
            "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
            "usageMetadata": {
                "promptTokenCount": _tokens(prompt),
                "candidatesTokenCount": _tokens(review),
                "thoughtsTokenCount": _tokens(THOUGHT),
            },
        }
    )


def _tokens(text: str) -> int:
    """A rough token count."""
    return len(json.dumps(text)) // 4


def stub_app() -> Starlette:
    return Starlette(
        routes=[
            Route("/v1/chat/completions", _chat_completions, methods=["POST"]),
            Route("/{path:path}:generateContent", _generate_content, methods=["POST"]),
        ]
    )


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application in a thread; yields its URL."""
    config = uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
