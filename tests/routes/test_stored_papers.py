"""``/v1/reviews/{id}/paper``: pages as images, and the text, through the real application."""

from __future__ import annotations

from typing import Any

import httpx
import pymupdf
import pytest

from app.settings import Settings
from tests.conftest import Serve
from tests.hostile import nested_forms
from tests.jobs.api import PDF, TEXT, code_of, gated, post, post_pdf, review_of, scripted
from tests.papers import typeset


@pytest.fixture
def client(serve: Serve) -> httpx.Client:
    return serve(scripted(), Settings())


@pytest.fixture
def paper(client: httpx.Client) -> str:
    review: str = review_of(post_pdf(client))["id"]
    return f"/v1/reviews/{review}/paper"


def rotated(data: bytes, degrees: int) -> bytes:
    with pymupdf.open(stream=data, filetype="pdf") as document:
        document[0].set_rotation(degrees)
        turned: bytes = document.tobytes()
        return turned


def test_pages_are_drawn_at_a_scale(client: httpx.Client, paper: str) -> None:
    pages = client.get(f"{paper}/pages").json()
    assert pages["object"] == "paper.pages"
    first = pages["pages"][0]
    assert (first["number"], round(first["width"]), round(first["height"])) == (1, 595, 842)
    for scale in (0.5, 1.5, 2):
        response = client.get(f"{paper}/pages/1", params={"scale": scale})
        assert response.headers["content-type"] == "image/png"
        assert response.headers["x-content-type-options"] == "nosniff"
        drawn = pymupdf.Pixmap(response.content)
        assert drawn.width == pytest.approx(first["width"] * scale, abs=1)
        assert drawn.height == pytest.approx(first["height"] * scale, abs=1)
        assert len(set(drawn.samples[::97])) > 2, "the page has ink"


def test_an_unchanged_page_is_not_sent_again(client: httpx.Client, paper: str) -> None:
    first = client.get(f"{paper}/pages/1")
    headers = {"If-None-Match": first.headers["etag"]}
    again = client.get(f"{paper}/pages/1", headers=headers)
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"{paper}/pages/1?scale=2", headers=headers).status_code == 200


def test_a_page_is_shown_as_a_viewer_turns_it(client: httpx.Client) -> None:
    review = review_of(post_pdf(client, rotated(PDF, 90)))["id"]
    size = client.get(f"/v1/reviews/{review}/paper/pages").json()["pages"][0]
    assert size["width"] > size["height"]


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ("pages/99", 404, "page_not_found"),
        ("pages/0", 400, "invalid_value"),
        ("pages/1.5", 400, "invalid_value"),
        ("pages/1?scale=0", 400, "invalid_value"),
        ("pages/1?scale=nan", 400, "invalid_value"),
        ("pages/1?scale=5", 400, "invalid_value"),
        ("pages/1?zoom=2", 400, "unknown_parameter"),
    ],
)
def test_what_cannot_be_drawn(
    client: httpx.Client, paper: str, asked: str, status: int, code: str
) -> None:
    assert code_of(client.get(f"{paper}/{asked}"), status) == code


def test_a_poster_is_drawn_as_large_as_the_limit_allows(client: httpx.Client) -> None:
    with pymupdf.open(stream=PDF, filetype="pdf") as document:
        document[0].set_mediabox(pymupdf.Rect(0, -9000, 9000, 842))
        review = review_of(post_pdf(client, document.tobytes()))["id"]
    paper = f"/v1/reviews/{review}/paper"
    largest = client.get(f"{paper}/pages").json()["pages"][0]["largest_scale"]
    assert largest < 1
    refused = client.get(f"{paper}/pages/1?scale=1")
    assert code_of(refused, 400) == "scale_too_large"
    assert f"{largest:.2f}" in refused.text
    assert client.get(f"{paper}/pages/1?scale={largest}").status_code == 200


def test_a_text_has_no_pages_but_is_shown_as_text(client: httpx.Client) -> None:
    review = review_of(post(client))["id"]
    assert code_of(client.get(f"/v1/reviews/{review}/paper/pages"), 422) == "not_a_pdf"
    assert code_of(client.get(f"/v1/reviews/{review}/paper/pages/1"), 422) == "not_a_pdf"
    text = client.get(f"/v1/reviews/{review}/paper/text").json()
    assert text["title"] == TEXT["title"]
    assert [section["heading"] for section in text["sections"]] == ["Introduction"]


def test_a_file_that_is_no_pdf_has_text_and_no_pages(client: httpx.Client) -> None:
    files = {"file": ("paper.md", b"# A title\n\n## Abstract\n\nWe count.\n\n## Method\n\nSo.")}
    review = review_of(client.post("/v1/reviews", files=files))["id"]
    assert code_of(client.get(f"/v1/reviews/{review}/paper/pages/1"), 422) == "not_a_pdf"
    assert client.get(f"/v1/reviews/{review}/paper/text").json()["title"] == "A title"


def test_the_text_has_the_lines_of_title_abstract_and_headings(
    client: httpx.Client, paper: str
) -> None:
    text: dict[str, Any] = client.get(f"{paper}/text").json()
    assert text["title_lines"][0]["page"] == 1
    assert text["abstract_lines"][0]["bbox"][3] > text["title_lines"][0]["bbox"][3]
    assert text["sections"][-1]["heading_lines"][0]["page"] == text["sections"][-1]["page"]


def test_a_deleted_or_foreign_review_has_no_pages(client: httpx.Client, paper: str) -> None:
    assert client.get(f"{paper}/pages/1").status_code == 200
    client.delete(paper.removesuffix("/paper"))
    for what in ("pages", "pages/1", "text"):
        assert code_of(client.get(f"{paper}/{what}"), 404) == "review_not_found"


def test_a_link_that_was_not_fetched_yet_has_no_paper(serve: Serve) -> None:
    engine = gated()
    client = serve(engine, Settings(fetch_hosts="localhost", background_reviews=0))
    link = {"url": "https://localhost/paper.pdf", "background": True}
    review = client.post("/v1/reviews", json=link).json()["id"]
    for what in ("pages", "pages/1", "text"):
        refused = client.get(f"/v1/reviews/{review}/paper/{what}")
        assert code_of(refused, 404) == "paper_not_stored"


def test_pages_can_be_seen_while_the_review_waits(serve: Serve) -> None:
    client = serve(gated(), Settings(background_reviews=0))
    review = client.post(
        "/v1/reviews", files={"file": ("p.pdf", PDF)}, data={"background": "true"}
    ).json()["id"]
    assert client.get(f"/v1/reviews/{review}/paper/pages/1").status_code == 200


def test_a_page_that_takes_forever_is_one_request_s_error(serve: Serve) -> None:
    """And the service draws others afterwards."""
    client = serve(gated(), Settings(background_reviews=0, extract_timeout_s=3))
    for data, status in ((nested_forms(), 422), (typeset("<p>fine</p>"), 200)):
        review = client.post(
            "/v1/reviews", files={"file": ("p.pdf", data)}, data={"background": "true"}
        ).json()["id"]
        drawn = client.get(f"/v1/reviews/{review}/paper/pages/1")
        assert drawn.status_code == status
        if status == 422:
            assert drawn.json()["error"]["code"] == "extraction_timeout"
