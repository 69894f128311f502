"""What the page costs: first paint, bytes, images of pages, and a list of a thousand reviews.

    python -m benchmarks.page

The service has a scripted engine and runs in a process of its own, as a person starts it. Debian's
Chromium opens the page on loopback, with an empty cache each time. Images of a paper of ten pages
are asked for one after the other, first none of them drawn yet (cold), then again (warm). The list
is turned to its end and scrolled; a gap between two frames is what a person sees as a stutter.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
from playwright.sync_api import sync_playwright

from app.settings import Settings
from app.store.storage import Storage
from benchmarks.report import Value, report
from benchmarks.store import fill
from tests.papers import paper_html, typeset
from tests.service import ScriptedService, Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REVIEWS, PAGES, OPENED, ROUNDS = 1000, 10, 15, 10
SCALE = 1.5
FRAMES = """() => new Promise((resolve) => {
  const gaps = [];
  let last = performance.now(), at = 0;
  const step = (now) => {
    gaps.push(now - last);
    last = now;
    scrollTo(0, (at += 60));
    if (gaps.length < 120) requestAnimationFrame(step); else resolve(gaps.slice(2));
  };
  requestAnimationFrame(step);
})"""
TRANSFERRED = """() => performance.getEntriesByType('resource')
  .concat(performance.getEntriesByType('navigation'))
  .filter((one) => !one.name.includes('/v1/'))
  .reduce((sum, one) => sum + one.transferSize, 0)"""


def ten_pages() -> bytes:
    """A paper of ten pages."""
    return typeset(paper_html(words_per_section=500))


def images(service: Service, paper: bytes) -> tuple[list[float], list[float], float, float]:
    """Milliseconds of each page's image, cold and warm; and the service's CPU time for one, which
    other work on the machine hardly changes.
    """
    with httpx.Client(base_url=service.url, timeout=60) as client:
        answer = client.post("/v1/reviews", files={"file": ("p.pdf", paper)})
        path = f"/v1/reviews/{answer.json()['id']}/paper/pages"
        count = len(client.get(path).json()["pages"])
        assert count == PAGES, count
        asked = [f"{path}/{number}?scale={SCALE}" for number in range(1, count + 1)]
        began = _cpu_ms(service)
        cold = [_timed(client, one) for one in asked]
        drawn = _cpu_ms(service)
        warm = [_timed(client, one) for _ in range(ROUNDS) for one in asked]
        sent = _cpu_ms(service)
        return cold, warm, (drawn - began) / len(cold), (sent - drawn) / len(warm)


def _cpu_ms(service: Service) -> float:
    """CPU time so far of the service and of the processes that read papers."""
    process = psutil.Process(service.process.pid)
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return 1000 * sum(one.user + one.system for one in times)


def _timed(client: httpx.Client, path: str) -> float:
    started = time.perf_counter()
    client.get(path).raise_for_status()
    return 1000 * (time.perf_counter() - started)


def first_paints(browser: Browser, url: str) -> tuple[list[float], int]:
    """Milliseconds from the request to the first contentful paint, and the bytes of the files."""
    paints, sent = [], 0
    for _ in range(OPENED):
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector(".reviews tbody tr")
        entries: list[dict[str, Any]] = page.evaluate(
            "performance.getEntriesByType('paint').map((one) => one.toJSON())"
        )
        paints += [one["startTime"] for one in entries if one["name"] == "first-contentful-paint"]
        page.click(".reviews tbody th a")
        page.wait_for_selector(".cards .point")
        sent = page.evaluate(TRANSFERRED)
        context.close()
    return paints, sent


def listed(page: Page, url: str) -> tuple[list[float], list[float]]:
    """Milliseconds of each turn of the list until its rows are there, and the gaps of frames."""
    page.goto(url)
    page.wait_for_selector(".reviews tbody tr")
    gaps: list[float] = page.evaluate(FRAMES)
    turns = []
    older = page.get_by_role("button", name="Older")
    while older.is_enabled():
        first = page.locator(".reviews tbody th a").first.get_attribute("id")
        started = time.perf_counter()
        older.click()
        page.wait_for_selector(f".reviews tbody tr:first-child a:not(#{first})")
        turns.append(1000 * (time.perf_counter() - started))
        gaps += page.evaluate(FRAMES)
    return turns, gaps


async def _filled(folder: Path) -> None:
    storage = Storage(Settings(data_dir=folder))
    await storage.start()
    await fill(storage, REVIEWS)
    await storage.stop()


def row(name: str, took: Sequence[float]) -> dict[str, Value]:
    return {
        "what": name,
        "times": len(took),
        "p50 ms": round(statistics.median(took), 1),
        "p95 ms": round(sorted(took)[int(0.95 * len(took))], 1),
        "max ms": round(max(took), 1),
    }


def main() -> None:
    program = shutil.which("chromium")
    assert program, "requirements/browser.sh brings Chromium"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with ScriptedService(folder / "log") as service:
            cold, warm, cold_cpu, warm_cpu = images(service, ten_pages())
        asyncio.run(_filled(folder / "data"))
        with ScriptedService(folder / "log") as service, sync_playwright() as started:
            browser = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
            paints, sent = first_paints(browser, service.url)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            turns, gaps = listed(page, service.url)
            browser.close()
    rows = [
        row("first contentful paint", paints),
        row(f"image of a page, cold, scale {SCALE}", cold),
        row(f"image of a page, warm, scale {SCALE}", warm),
        row(f"a page of 50 of {REVIEWS} reviews", turns),
        row("gap between frames while scrolling", gaps),
    ]
    report(
        "page",
        "loopback, headless Chromium",
        rows,
        transferred_bytes=sent,
        cold_image_cpu_ms=round(cold_cpu, 1),
        warm_image_cpu_ms=round(warm_cpu, 1),
    )


if __name__ == "__main__":
    main()
