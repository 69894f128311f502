"""What the documentation says of settings, commands, metrics and errors is what the code has."""

from __future__ import annotations

import ast
import re
from http import HTTPStatus
from pathlib import Path

import pytest

from app import errors
from app.engine.start_failures import REASONS
from app.errors import ReviewerError
from app.observability.metrics import HIDDEN_KINDS, code_of
from app.settings import Settings
from docs.generate import with_tables
from tests.docs.pages import PAGES, ROOT, anchors, links, prose

DOCS = ROOT / "docs"
KINDS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, ReviewerError)
}
NEVER_SENT = {"configuration_error"}
BY_FRAMEWORKS = {"missing_field", "unknown_field", "too_many_files"}
"""Codes that are not written as ``code="..."``: all of them are the request's fault."""


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.stem)
def test_generated_tables_are_up_to_date(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert with_tables(text) == text, "run: make docs"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_does(name: str) -> None:
    assert Settings.model_fields[name].description


def test_every_error_code_is_listed_with_its_status() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \| \S", text, re.MULTILINE)
    listed = {code: int(status) for status, code in rows}
    assert len(listed) == len(rows)
    assert listed == codes()


def codes() -> dict[str, int]:
    """Every code that a client can get, and its status."""
    of_kinds = {kind.code: kind.status for kind in KINDS.values()}
    by_statuses = {
        status.phrase.lower().replace(" ", "_"): int(status)
        for status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    }
    all_of_them = {**dict.fromkeys(BY_FRAMEWORKS, 400), **by_statuses, **of_kinds, **written()}
    return {code: status for code, status in all_of_them.items() if code not in NEVER_SENT}


def written() -> dict[str, int]:
    """Codes that are given to an error where it is raised."""
    found = {}
    # A client's own stay in its output.
    files = set((ROOT / "app").rglob("*.py")) - set((ROOT / "app" / "cli").rglob("*.py"))
    for file in files:
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
                kind = KINDS.get(call.func.id)
                for keyword in call.keywords if kind else ():
                    if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                        assert kind is not None
                        found[str(keyword.value.value)] = kind.status
    return found


def test_every_listed_code_counts_as_itself_among_the_metrics() -> None:
    assert {code for code in codes() if code_of(ReviewerError("", code=code)) != code} == set()


def test_every_reason_not_to_start_is_listed_with_what_it_does() -> None:
    text = (DOCS / "deploy.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (ends|retried) \|$", text, re.MULTILINE))
    expected = {one.code: "retried" if one.passing else "ends" for one in REASONS}
    others = {"configuration_error": "ends", "model_not_started": "retried"}
    assert listed == {**expected, **others}


def test_every_kind_of_hidden_text_is_known() -> None:
    page = (DOCS / "reading-papers.md").read_text(encoding="utf-8")
    listed = re.search(r"with page, position and kind\s*\((.*?)\)", page, re.DOTALL)
    assert listed
    assert set(re.findall(r"`(\w+)`", listed[1])) <= HIDDEN_KINDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for link in links(page):
        if not link.startswith(("http://", "https://")):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                wrong.append(link)
    assert not wrong


def test_settings_named_in_prose_exist() -> None:
    settings = {f"REVIEWER_{name.upper()}" for name in Settings.model_fields}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert set(re.findall(r"REVIEWER_[A-Z_]+\b", text)) - settings <= {"REVIEWER_API_KEY"}, page


def test_the_readme_is_short_and_links_to_every_page() -> None:
    readme = ROOT / "README.md"
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= 150
    linked = {(ROOT / link).resolve() for link in links(readme) if link.startswith("docs/")}
    assert {target.with_suffix(".md") for target in linked} >= set(DOCS.glob("*.md"))
    assert "No review has been measured on a GPU yet" in prose(readme)
