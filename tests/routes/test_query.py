"""Query parameters that nobody knows are refused by name."""

from __future__ import annotations

import httpx
import pytest

from app.engine.base import Tokenizer
from app.settings import Settings
from tests.conftest import Serve
from tests.doubles import ScriptedEngine
from tests.papers import paper_pdf


@pytest.fixture
def client(serve: Serve, tokenizer: Tokenizer) -> httpx.Client:
    return serve(ScriptedEngine(tokenizer), Settings())


def test_an_unknown_parameter_is_refused_by_name(client: httpx.Client) -> None:
    files = {"file": ("p.pdf", paper_pdf())}
    for method, path, name in (
        ("POST", "/v1/papers?blind=false", "blind"),
        ("POST", "/v1/papers?overlay=true&Overlay=true", "Overlay"),
        ("POST", "/v1/reviews?stream", "stream"),
        ("POST", "/v1/chat/completions?stream=true", "stream"),
        ("GET", "/v1/models?limit=1", "limit"),
    ):
        response = client.request(method, path, files=files if method == "POST" else None)
        assert response.status_code == 400, path
        detail = response.json()["error"]
        assert (detail["code"], detail["param"]) == ("unknown_parameter", name)
    assert "there are: overlay" in client.post("/v1/papers?blind=false").json()["error"]["message"]


def test_known_ones_and_probes_are_let_through(client: httpx.Client) -> None:
    files = {"file": ("p.pdf", paper_pdf())}
    drawn = client.post("/v1/papers?overlay=true", files=files)
    assert drawn.headers["content-type"] == "application/pdf"
    assert client.get("/livez?at=1").status_code == 200
