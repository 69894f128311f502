"""The page's files and how they are sent; what they do in a browser, ``test_page`` shows."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest

from app.settings import Settings
from tests.conftest import Serve
from tests.jobs.api import code_of, scripted
from tests.test_auth import KEYS

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "app" / "web").iterdir())
SENT = [file for file in FILES if file.name != "types.js"]
"""Without what only the type checker reads."""
MOST_BYTES = 150_000
LONGEST_MODULE = 300
INTERPRETS_TEXT = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
    r"|\beval\(|new Function|srcdoc|setHTML|javascript:|setTimeout\(\s*[\"'`]"
)
OTHER_HOST = re.compile(r"(?:https?:)?//[a-z0-9-]+\.[a-z]|@import|url\(")
SVG = "http://www.w3.org/2000/svg"


@pytest.fixture
def client(serve: Serve) -> httpx.Client:
    return serve(scripted(), Settings(api_keys=KEYS))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_interprets_a_text_or_comes_from_another_host(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace(SVG, "")
    assert not INTERPRETS_TEXT.search(text)
    assert not OTHER_HOST.search(text)


def test_the_html_has_no_script_and_no_style_of_its_own() -> None:
    html = (ROOT / "app/web/index.html").read_text(encoding="utf-8")
    assert re.findall(r"<script\b[^>]*>", html) == ['<script type="module" src="web/main.js">']
    assert "<style" not in html
    assert not re.search(r"\s(style|on\w+)=", html)
    named = set(re.findall(r'(?:href|src)="web/([^"]+)"', html))
    assert named <= {file.name for file in FILES}


def test_all_of_it_is_small_and_in_modules_of_moderate_size() -> None:
    assert sum(file.stat().st_size for file in SENT) < MOST_BYTES
    for file in FILES:
        assert len(file.read_text(encoding="utf-8").splitlines()) <= LONGEST_MODULE, file.name


def test_the_wheel_and_the_image_have_all_of_it() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packed = settings["tool"]["setuptools"]["package-data"]["app"]
    for file in FILES:
        assert any(fnmatch(f"web/{file.name}", pattern) for pattern in packed), file.name
    assert "COPY app app" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_the_page_needs_no_key_and_is_sent_with_a_strict_policy(client: httpx.Client) -> None:
    for path in ("/", *(f"/web/{file.name}" for file in FILES)):
        response = client.get(path)
        assert response.status_code == 200, path
        policy = response.headers["content-security-policy"]
        rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
        assert rules["default-src"] == "'none'"
        assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
        assert rules["img-src"] == "'self' blob:"
        assert rules["frame-ancestors"] == rules["form-action"] == rules["base-uri"] == "'none'"
        assert rules["require-trusted-types-for"] == "'script'"
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
    assert code_of(client.get("/v1/reviews"), 401) == "invalid_api_key"


def test_an_unchanged_file_is_not_sent_again(client: httpx.Client) -> None:
    first = client.get("/web/main.js")
    again = client.get("/web/main.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/web/", "/web/none.js", "/web/..%2fmain.py", "/web/../main.py", "/web/a/b", "/web"]
)
def test_there_are_no_other_files(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code in (401, 404)
