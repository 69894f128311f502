"""``POST /v1/reviews`` with what it refuses: no model is asked."""

from __future__ import annotations

import gzip
import json
import select
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.papers import blank_pdf, encrypted_pdf, paper_pdf, typeset
from tests.routes.test_reviews import TEXT, error, post_pdf
from tests.service import Service


@pytest.fixture(scope="module")
def client(quick: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=quick.url, timeout=120) as client:
        yield client


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", (422, "pdf_empty", "file")),
        (b"hello, this is no PDF", (422, "not_a_pdf", "file")),
        (b"<html><body>%PDF</body></html>" * 50, (422, "not_a_pdf", "file")),
        (b"PK\x03\x04" + bytes(2000), (422, "archive_unreadable", "file")),
        (b"%PDF-1.7\n%%EOF", (422, "pdf_unreadable", "file")),
        (paper_pdf()[:300], (422, "pdf_unreadable", "file")),
        (encrypted_pdf(), (422, "pdf_encrypted", "file")),
        (blank_pdf(), (422, "pdf_no_text", "file")),
        (typeset("<p>A picture with few words.</p>"), (422, "pdf_no_text", "file")),
        (blank_pdf(201), (422, "pdf_too_many_pages", "file")),
    ],
)
def test_documents_that_are_no_papers(
    client: httpx.Client, data: bytes, expected: tuple[int, str, str]
) -> None:
    assert error(post_pdf(client, data)) == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"title": None}, (400, "invalid_value", "title")),
        ({"title": ""}, (400, "invalid_value", "title")),
        ({"body": 7}, (400, "invalid_value", "body")),
        ({"body": " \n\n "}, (400, "invalid_value", "body")),
        ({"body": "x" * 2_000_001}, (400, "invalid_value", "body")),
        ({"title": "\ud800"}, (400, "invalid_json", None)),
        ({"model": "gpt-4"}, (404, "model_not_found", "model")),
        ({"temperature": 2.5}, (400, "invalid_value", "temperature")),
        ({"temperature": float("nan")}, (400, "invalid_json", None)),
        ({"top_p": 0}, (400, "invalid_value", "top_p")),
        ({"max_tokens": 0}, (400, "invalid_value", "max_tokens")),
        ({"max_tokens": 10**6}, (400, "invalid_value", "max_tokens")),
        ({"format": "poem"}, (400, "invalid_value", "format")),
        ({"colour": "red"}, (400, "unknown_field", "colour")),
    ],
)
def test_parameters_out_of_range(
    client: httpx.Client, change: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    content = json.dumps({**TEXT, **change})
    response = client.post(
        "/v1/reviews", content=content, headers={"content-type": "application/json"}
    )
    assert error(response) == expected


@pytest.mark.parametrize("missing", ["title", "body"])
def test_missing_fields(client: httpx.Client, missing: str) -> None:
    body = {name: value for name, value in TEXT.items() if name != missing}
    assert error(client.post("/v1/reviews", json=body)) == (400, "missing_field", missing)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"nonsense"])
def test_bodies_that_are_not_json(client: httpx.Client, content: bytes) -> None:
    response = client.post(
        "/v1/reviews", content=content, headers={"content-type": "application/json"}
    )
    assert error(response) == (400, "invalid_json", None)


@pytest.mark.parametrize("content", ["[]", "null", "7", '"text"', "[" * 100_000])
def test_json_that_is_no_object(client: httpx.Client, content: str) -> None:
    response = client.post(
        "/v1/reviews", content=content, headers={"content-type": "application/json"}
    )
    assert error(response)[:2] == (400, "invalid_value")


def test_other_content_types(client: httpx.Client) -> None:
    response = client.post(
        "/v1/reviews", content=paper_pdf(), headers={"content-type": "application/pdf"}
    )
    assert error(response) == (415, "unsupported_media_type", None)


def test_compressed_bodies(client: httpx.Client) -> None:
    for kind in ("application/json", "multipart/form-data; boundary=x"):
        headers = {"content-type": kind, "content-encoding": "gzip"}
        response = client.post("/v1/reviews", content=gzip.compress(b"{}"), headers=headers)
        assert error(response) == (415, "unsupported_media_type", None)
        assert "gzip" in response.json()["error"]["message"]


def test_a_paper_without_a_filename(client: httpx.Client) -> None:
    response = client.post("/v1/reviews", files={"file": (None, b"%PDF-1.7" + b" " * 70_000)})
    assert error(response) == (400, "invalid_value", None)
    assert "filename" in response.json()["error"]["message"]


def test_a_field_twice(client: httpx.Client) -> None:
    response = client.post(
        "/v1/reviews",
        files=[
            ("file", ("p.pdf", paper_pdf())),
            ("mode", (None, "review")),
            ("mode", (None, "verdict")),
        ],
    )
    assert error(response) == (400, "invalid_value", "mode")


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_a_time_that_is_no_number(client: httpx.Client, value: str) -> None:
    for name in ("created_after", "created_before"):
        response = client.get("/v1/reviews", params={name: value})
        assert error(response) == (400, "invalid_value", name)


def test_forms_that_are_wrong(client: httpx.Client) -> None:
    assert error(
        client.post("/v1/reviews", files={"paper": ("p.pdf", b"x"), "x": (None, "y")})
    ) == (400, "missing_field", "file")
    assert error(client.post("/v1/reviews", files={"file": (None, "text")})) == (
        400,
        "invalid_value",
        "file",
    )
    two = [("file", ("a.pdf", paper_pdf())), ("file", ("b.pdf", paper_pdf()))]
    assert client.post("/v1/reviews", files=two).status_code == 400
    assert error(post_pdf(client, paper_pdf(), temperature="hot")) == (
        400,
        "invalid_value",
        "temperature",
    )
    assert error(post_pdf(client, paper_pdf(), colour="red")) == (400, "unknown_field", "colour")
    broken = client.post(
        "/v1/reviews",
        content=b"--x\r\nnonsense",
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert broken.status_code == 400


HEAD = b"POST /v1/reviews HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"


def test_too_large_by_its_own_word(quick: Service) -> None:
    with socket.create_connection(("127.0.0.1", quick.port), timeout=10) as connection:
        connection.sendall(HEAD + b"Content-Length: 9000000000\r\n\r\n")
        # Nothing of the body is sent: the answer can't wait for it.
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_too_large_for_a_client_that_asks_first(quick: Service) -> None:
    with socket.create_connection(("127.0.0.1", quick.port), timeout=10) as connection:
        connection.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: 60000000\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"100 Continue" not in answer


def test_too_large_in_chunks_is_refused_while_they_arrive(quick: Service) -> None:
    chunk = b"f4240\r\n" + bytes(1_000_000) + b"\r\n"
    sent = 0
    with socket.create_connection(("127.0.0.1", quick.port), timeout=10) as connection:
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        while not select.select([connection], [], [], 0)[0] and sent < 500_000_000:
            connection.sendall(chunk)
            sent += 1_000_000
        # Its head and its body may come apart.
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"pdf_too_large" in answer
    # The limit is 50 MB; the rest was on its way.
    assert 50_000_000 <= sent < 100_000_000


def test_too_large_for_a_client_that_reads_only_in_the_end(client: httpx.Client) -> None:
    response = post_pdf(client, b"%PDF-" + bytes(60_000_000))
    assert error(response) == (413, "pdf_too_large", "file")
