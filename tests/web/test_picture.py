"""The README's picture: the page with a review by the real small model.

    PICTURE=docs/page.png python -m pytest tests/web/test_picture.py

makes it; without the variable the test is skipped, as it takes the real model a minute.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pymupdf
import pytest

from tests.papers import EXAMPLES
from tests.service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif("PICTURE" not in os.environ, reason="PICTURE names no file to write"),
]
ROOT = Path(__file__).parents[2]
MOST_BYTES = 200_000


def test_the_page_with_the_real_model(browser: Browser, service: Service, tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(300_000)
    page.goto(service.url)
    page.wait_for_selector(".reviews tbody tr")
    page.set_input_files("#files", EXAMPLES / "paper.pdf")
    page.wait_for_selector(".verdict")
    page.wait_for_selector(".cards .point, .points .hint")
    page.wait_for_selector(".page img[src]")
    page.locator(".point").first.hover()
    page.evaluate("document.querySelector('.page img').decode()")
    picture = tmp_path / "page.png"
    page.screenshot(path=picture)
    context.close()
    small = _with_few_colours(picture.read_bytes())
    assert len(small) < MOST_BYTES
    (ROOT / os.environ["PICTURE"]).write_bytes(small)


def _with_few_colours(png: bytes) -> bytes:
    """The picture with the lowest bits of its colours dropped, which compresses to a third."""
    pixels = pymupdf.Pixmap(png)
    flat = pymupdf.Pixmap(pymupdf.csRGB, pixels) if pixels.alpha else pixels
    table = bytes(min(255, value // 16 * 17) for value in range(256))
    reduced = pymupdf.Pixmap(
        pymupdf.csRGB, flat.width, flat.height, flat.samples.translate(table), False
    )
    data: bytes = reduced.tobytes("png")
    return data
