"""One browser and one scripted service for all tests of the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.service import ScriptedService
from tests.test_auth import ALICE, KEYS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

HOSTILE = "<img src=x onerror=hacked=1> \u202etxet \u2066 </bdi></p><script>hacked=1</script>"
"""In the model's text: markup, and marks that turn what follows from right to left."""
ABOUT = (
    "As Table 99 shows, gateways in front of language models count a prompt's tokens before they "
    "send it, and the engine behind them counts the same tokens again."
)
"""A point about a sentence of examples/paper.pdf, with a claim that it does not contain."""
TOOLS = Path(__file__).with_name("node_modules")
HOW = "requirements/browser.sh brings it"


@dataclass(frozen=True)
class Site:
    """The service; its reviews are written only while the file ``gate`` exists."""

    url: str
    gate: Path

    def client(self) -> httpx.Client:
        headers = {"Authorization": f"Bearer {ALICE}"}
        return httpx.Client(base_url=self.url, timeout=60, headers=headers)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with its module: as long as it runs, so does an event loop, and no other can."""
    playwright = pytest.importorskip("playwright.sync_api", reason=f"no Playwright: {HOW}")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip(f"there is no chromium: {HOW}")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    gate = folder / "gate"
    gate.touch()
    settings = {
        "REVIEWER_API_KEYS": json.dumps(KEYS),
        "REVIEWER_ABSTAIN_LOW": "0.4",
        "REVIEWER_ABSTAIN_HIGH": "0.6",
        "SCRIPTED_GATE": str(gate),
        "SCRIPTED_TEXT": f"{ABOUT} {HOSTILE}",
    }
    with ScriptedService(folder / "log", **settings) as service:
        yield Site(service.url, gate)


Open = Callable[..., "Page"]


@pytest.fixture
def open_page(browser: Browser, site: Site) -> Iterator[Open]:
    """Opens the page, in a context of its own, with the API key unless ``key`` is false.

    At the end of the test: no error in any console, no request to another host, and no key and
    no title in an address.
    """
    faults: list[str] = []
    contexts: list[BrowserContext] = []

    def opened(path: str = "/", *, key: bool = True, **how: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **how})
        contexts.append(context)
        if key:
            keep = f"sessionStorage.setItem('reviewer-api-key', '{ALICE}')"
            context.add_init_script(keep)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda told: faults.extend(_fault(told.type, told.text)))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda sent: faults.extend(_foreign(sent.url, site.url)))
        page.goto(site.url + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not faults


def _fault(kind: str, text: str) -> list[str]:
    # The browser says so of every answer of 400 and above, also of those that the page expects.
    expected = text.startswith("Failed to load resource")
    return [text] if kind in ("error", "warning") and not expected else []


def _foreign(url: str, own: str) -> list[str]:
    local = url.startswith((f"{own}/", f"blob:{own}/"))
    return [] if local and ALICE not in url and "Counting" not in url else [url]


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, which finds faults of accessibility."""
    file = TOOLS / "axe-core" / "axe.min.js"
    if not file.exists():
        pytest.skip(f"there is no axe-core: {HOW}")
    return file.read_text(encoding="utf-8")
