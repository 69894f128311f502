"""Clients that are slow, broken or hostile: none of them keeps the others out."""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW, ScriptedEngine, WordTokenizer
from tests.middleware.test_auth_and_limits import places_taken
from tests.papers import paper_pdf
from tests.waiting import wait_for

TEXT = {"title": "Counting", "body": "# Introduction\n\nWe count."}
JSON = b"POST /v1/reviews HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
FORM = b"POST /v1/reviews HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"


def scripted() -> ScriptedEngine:
    return ScriptedEngine(WordTokenizer())


@contextmanager
def connection(client: httpx.Client, sent: bytes = b"") -> Iterator[socket.socket]:
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=20) as connected:
        connected.sendall(sent)
        yield connected


def answer(connected: socket.socket) -> bytes:
    """All that comes until the server closes."""
    received = b""
    while True:
        try:
            piece = connected.recv(65536)
        except ConnectionResetError:
            return received
        if not piece:
            return received
        received += piece


def was_cut_off(connected: socket.socket) -> bool:
    """Whether the server has closed, though what it has sent was not read."""
    polling = select.poll()
    polling.register(connected, select.POLLRDHUP)
    return bool(polling.poll(20_000))


def review(client: httpx.Client) -> int:
    return client.post("/v1/reviews", json=TEXT, timeout=30).status_code


def test_slow_and_broken_clients_keep_nobody_out(serve: Serve) -> None:
    """``benchmarks.slow_clients`` has two hundred of them, which go on sending."""
    client = serve(scripted(), Settings(max_reviews=2))
    body = b"Content-Length: 1000\r\n\r\n{"
    with ExitStack() as stack:
        for sent in (JSON + body, FORM + body, JSON + b"X-Long: ", b"") * 10:
            stack.enter_context(connection(client, sent))
            with connection(client, JSON + body):
                pass
        assert places_taken(client) == 0
        assert [review(client) for _ in range(3)] == [200] * 3


def test_a_body_that_hardly_comes_is_given_up(serve: Serve) -> None:
    client = serve(scripted(), Settings(body_window_s=0.2, min_body_kb_s=10))
    for sent in (b"", b"{", b'{"title": "' + b"x" * 1000):
        with connection(client, JSON + b"Content-Length: 5000\r\n\r\n" + sent) as connected:
            told = answer(connected)
        assert told.startswith(b"HTTP/1.1 408 ")
        assert json.loads(told.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_slow"
    trickle = JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    with connection(client, trickle) as connected:
        while not select.select([connected], [], [], 0.01)[0]:
            connected.sendall(b"1\r\n \r\n")
        assert answer(connected).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_comes_slowly_enough_arrives(serve: Serve) -> None:
    """Over many windows, each with a little more than it needs."""
    client = serve(scripted(), Settings(body_window_s=0.1, min_body_kb_s=1))
    body = json.dumps({**TEXT, "abstract": "word " * 1000}).encode()
    with connection(client, JSON + b"Content-Length: %d\r\n\r\n" % len(body)) as connected:
        for start in range(0, len(body), 250):
            connected.sendall(body[start : start + 250])
            time.sleep(0.02)
        assert connected.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_what_arrives_at_once_has_a_bound(serve: Serve) -> None:
    settings = Settings(max_upload_mb=0.6, max_json_mb=0.2, max_arriving_mb=0.1)
    client = serve(scripted(), settings)  # a chat's largest, a megabyte, is the bound
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
    head = FORM + b"Content-Length: 590000\r\n\r\n" + part + bytes(400_000)
    with connection(client, head), connection(client, head), connection(client, head) as third:
        # Which of them it is that goes beyond, chance decides; small ones fit all the same.
        wait_for(lambda: client.get("/readyz").status_code == 200)
        third.sendall(bytes(1000))
        assert review(client) in (200, 503)
    wait_for(lambda: review(client) == 200)


def test_who_is_too_late_is_refused_when_the_body_is_there(serve: Serve) -> None:
    engine = scripted()
    engine.delay_s = 0.1
    client = serve(engine, Settings(max_reviews=1))
    body = json.dumps({**TEXT, "reuse": False}).encode()
    head = JSON + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    with connection(client, head + body[:-1]) as late, connection(client, head + body) as first:
        wait_for(lambda: places_taken(client) == 1)
        late.sendall(body[-1:])
        told = answer(late)
        assert told.startswith(b"HTTP/1.1 503 ")
        assert b'"overloaded"' in told
        assert answer(first).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_is_broken_off_leaves_nothing(serve: Serve) -> None:
    client = serve(scripted(), Settings(max_reviews=1, max_connections=8))
    for head in (JSON, FORM) * 10:
        with connection(client, head + b"Content-Length: 1000\r\n\r\n{"):
            pass
    assert review(client) == 200
    assert places_taken(client) == 0


@pytest.mark.parametrize("sent", [b"", b"G", b"GET /livez HTTP/1.1\r\nHost: x\r\nA", b"\r\n"])
def test_a_head_that_does_not_end_is_given_up(serve: Serve, sent: bytes) -> None:
    client = serve(scripted(), Settings(head_timeout_s=0.2))
    with connection(client, sent) as connected:
        assert answer(connected).startswith(b"HTTP/1.1 408 ")
    whole = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    with connection(client, whole + sent) as connected:
        told = answer(connected)
        assert told.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in told


@pytest.mark.parametrize(
    "begun",
    [
        b"GET /livez?",
        b"GET /livez HTTP/1.1\r\nHost: ",
        b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 1000,
        JSON + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n",
        JSON + b"Transfer-Encoding: chunked\r\n\r\n1;",
    ],
    ids=["url", "header", "headers", "trailers", "chunk extension"],
)
def test_a_head_without_an_end_is_not_kept(serve: Serve, begun: bytes) -> None:
    client = serve(scripted(), Settings())
    with connection(client, begun) as connected:
        sent = 0
        endless = b"A: bbbbbb\r\n" if begun.endswith(b"\r\n") else b"a" * 10
        while not select.select([connected], [], [], 0)[0] and sent < 50_000_000:
            try:
                sent += connected.send(endless * 100)
            except OSError:
                break
        assert sent < 50_000_000
        assert answer(connected)[:13] in (b"HTTP/1.1 431 ", b"")
    assert review(client) == 200


def test_what_follows_an_answer_that_came_early_is_not_waited_for(serve: Serve) -> None:
    client = serve(scripted(), Settings(head_timeout_s=0.2))
    head = b"POST /v1/papers HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    with connection(client, head + b"Content-Length: 1000000\r\n\r\n") as connected:
        assert connected.recv(65536).startswith(b"HTTP/1.1 415 ")
        polling = select.poll()
        polling.register(connected, select.POLLRDHUP)
        for _ in range(1000):
            try:
                connected.sendall(b"x")
            except OSError:
                return
            if polling.poll(10):
                return
    raise AssertionError("it is read on for ever")


def test_an_answer_that_is_not_read_is_given_up(serve: Serve) -> None:
    """A stream of events of eight megabytes, and a client that reads none of them."""
    text = WHOLE_REVIEW.replace("It counts tokens.", "It counts. " + "x " * 4_000_000)
    engine = ScriptedEngine(WordTokenizer(), [text])
    client = serve(engine, Settings(write_timeout_s=0.3, max_reviews=1))
    body = json.dumps({**TEXT, "stream": True, "format": "free"}).encode()
    with socket.socket() as connected:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connected.connect((client.base_url.host, client.base_url.port))
        connected.sendall(JSON + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert was_cut_off(connected)
    wait_for(lambda: places_taken(client) == 0)


def test_a_client_that_breaks_off_after_its_answer_is_no_fault(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """As ``curl -f`` does with an error: uvicorn's keep-alive timer of 5 s outlives a reset."""
    client = serve(scripted(), Settings(write_timeout_s=0.1, head_timeout_s=6))
    with connection(client, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n") as connected:
        assert connected.recv(12) == b"HTTP/1.1 200"
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with connection(client) as silent:
        assert was_cut_off(silent)
    assert "fault in the event loop" not in caplog.text


def test_connections_that_do_nothing_make_room(serve: Serve) -> None:
    client = serve(scripted(), Settings(max_connections=8))
    with ExitStack() as stack:
        idle = [stack.enter_context(connection(client)) for _ in range(12)]
        assert was_cut_off(idle[0])
        assert review(client) == 200
        with httpx.Client(base_url=client.base_url) as another:
            assert review(another) == 200


@pytest.mark.parametrize(
    "parts",
    [
        b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\nv\r\n' * 5000,
        b'--x\r\nContent-Disposition: form-data; name="' + b"n" * 5_000_000 + b'"\r\n\r\nv\r\n',
        b"--x\r\n" + b"A: b\r\n" * 500_000,
        b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + b"v" * 5_000_000 + b"\r\n",
        b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\n--y--\r\n" * 1000,
        b"\r\n" * 2_000_000,
    ],
    ids=["fields", "name", "headers", "value", "nested", "preamble"],
)
def test_forms_of_nothing_are_refused(serve: Serve, parts: bytes) -> None:
    client = serve(scripted(), Settings())
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    refused = client.post("/v1/reviews", content=parts + b"--x--\r\n", headers=headers, timeout=20)
    assert refused.status_code == 400
    files = {"file": ("p.pdf", paper_pdf())}
    assert client.post("/v1/papers", files=files, timeout=60).status_code == 200
