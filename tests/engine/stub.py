"""An OpenAI-compatible server on loopback that answers what a test wants it to."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON, SSE = "application/json", "text/event-stream"
Answer = tuple[int, str, bytes]
MODELS: Answer = (200, JSON, b'{"data": [{"id": "smollm2"}]}')


def one_token(prompt_tokens: int, *likely: tuple[str, float]) -> Answer:
    """A completion of one token, with what is likely in its place."""
    told = [{"token": token, "logprob": logprob} for token, logprob in likely]
    content = [{**told[0], "top_logprobs": told}] if told else None
    choice = {"index": 0, "finish_reason": "length", "logprobs": {"content": content}}
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": 1}
    return (200, JSON, json.dumps({"choices": [choice], "usage": usage}).encode())


CONTINUES = (one_token(36, (" I", -1.0)), one_token(62, (" fourteen", -0.1)))
"""How a server with SmolLM2 that goes on with begun answers replies to ``openai_probe.TRIALS``."""


def stream(*chunks: str) -> bytes:
    return "".join(f"data: {chunk}\n\n" for chunk in chunks).encode()


def piece(text: str, finish_reason: str | None = None) -> str:
    choice = {"delta": {"content": text}, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice]})


class Upstream:
    """Its answers may be changed while it runs; None hangs up.

    ``models`` answers every look; those in ``next_models`` come first, one each, as do those in
    ``next_answers`` before ``answer``. ``chunks`` is what a chat streams where ``answer`` is None
    and ``chunks`` is not: each is asked for as it is sent.
    """

    def __init__(self) -> None:
        self.models: Answer | None = MODELS
        self.next_models: deque[Answer | None] = deque()
        self.answer: Answer | None = None
        self.next_answers: deque[Answer | None] = deque()
        self.chunks: Callable[[], Iterator[str]] | None = None
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []
        """What was asked for, query included."""
        self.authorized: list[str | None] = []
        """The header ``Authorization`` of each."""
        self.looks = 0
        self.url = ""

    def note(self, request: BaseHTTPRequestHandler) -> None:
        self.paths.append(request.path)
        self.authorized.append(request.headers["authorization"])


@contextmanager
def upstream() -> Iterator[Upstream]:
    told = Upstream()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.looks += 1
            told.note(self)
            self._send(told.next_models.popleft() if told.next_models else told.models)

        def do_POST(self) -> None:
            told.note(self)
            body = self.rfile.read(int(self.headers["content-length"]))
            told.asked.append(json.loads(body))
            if told.next_answers:
                self._send(told.next_answers.popleft())
            elif told.chunks:
                self._stream(told.chunks())
            else:
                self._send(told.answer)

        def _stream(self, chunks: Iterator[str]) -> None:
            self.send_response(200)
            self.send_header("content-type", SSE)
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(f"data: {chunk}\n\n".encode())
                self.wfile.flush()
            self.close_connection = True

        def _send(self, answer: Answer | None) -> None:
            if answer is None:
                self.close_connection = True
                return
            status, kind, body = answer
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        told.url = f"http://127.0.0.1:{server.server_port}/v1"
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
