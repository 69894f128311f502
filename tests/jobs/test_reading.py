"""Reviews that are there: listed, exported, not found."""

from __future__ import annotations

import csv

from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import WHOLE_REVIEW
from tests.jobs.api import (
    Json,
    code_of,
    post,
    post_pdf,
    review_of,
    scripted,
)


def test_exports(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(texts=[WHOLE_REVIEW.replace("It counts tokens.", "=1+1")]), settings)
    review = review_of(post_pdf(client))
    where = f"/v1/reviews/{review['id']}/export"
    markdown = client.get(where)
    assert markdown.headers["content-type"].startswith("text/markdown")
    assert markdown.text.startswith("# Review of “Counting Tokens Twice")
    assert "Verdict: **accept**, probability of acceptance 0.73 (not calibrated)" in markdown.text
    assert client.get(where, params={"format": "json"}).json() == review
    (row,) = csv.DictReader(client.get(where, params={"format": "csv"}).text.splitlines())
    assert (row["id"], row["decision"]) == (review["id"], "accept")
    assert row["summary"] == "'=1+1"
    assert code_of(client.get(where, params={"format": "doc"}), 400) == "invalid_value"


def test_the_list_is_paged_and_filtered(serve: Serve, either: Settings) -> None:
    client = serve(scripted(), either)
    ids = [post(client, reuse=False).json()["id"] for _ in range(5)]
    review_of(post_pdf(client))
    seen: list[str] = []
    query: Json = {"limit": 2, "order": "asc"}
    while True:
        page = client.get("/v1/reviews", params=query).json()
        seen += [one["id"] for one in page["data"]]
        assert page["has_more"] == bool(page["next"])
        if not page["next"]:
            break
        query["cursor"] = page["next"]
    assert seen[:5] == ids
    assert len(seen) == 6
    newest = client.get("/v1/reviews?limit=1").json()["data"][0]
    assert newest["title"] == "Counting Tokens Twice Is Once Too Often"
    found = client.get("/v1/reviews", params={"sha256": newest["sha256"]}).json()["data"]
    assert found == [newest]
    assert client.get("/v1/reviews?decision=reject").json()["data"] == []
    assert len(client.get("/v1/reviews?decision=accept&status=completed").json()["data"]) == 6
    assert code_of(client.get("/v1/reviews?cursor=nonsense"), 400) == "invalid_value"
    assert code_of(client.get("/v1/reviews?limit=0"), 400) == "invalid_value"


def test_what_is_not_there(serve: Serve, settings: Settings) -> None:
    client = serve(scripted(), settings)
    for method, path in (
        ("GET", ""),
        ("GET", "?stream=true"),
        ("GET", "/paper"),
        ("GET", "/export"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ):
        response = client.request(method, f"/v1/reviews/rev_nobodys{path}")
        assert code_of(response, 404) == "review_not_found", path
    text = review_of(post(client))["id"]
    assert code_of(client.get(f"/v1/reviews/{text}/paper"), 404) == "paper_not_stored"
