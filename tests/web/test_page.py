"""The page in a real browser, against the real service with a scripted engine."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymupdf
import pytest

from tests.hidden_techniques import PAYLOADS, inject
from tests.papers import EXAMPLES, paper_pdf
from tests.test_auth import ALICE
from tests.web.conftest import HOW, TOOLS, Open, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PAPER = EXAMPLES / "paper.pdf"
NARROW = {"viewport": {"width": 360, "height": 740}}
MODULES = Path(__file__).parents[2] / "app" / "web"


def pdf_file(data: bytes, name: str = "paper.pdf") -> Any:
    return {"name": name, "mimeType": "application/pdf", "buffer": data}


def reviewed(site: Site, data: bytes | None = None, name: str = "p.pdf", **asked: str) -> str:
    """The address of a new review."""
    with site.client() as client:
        content = PAPER.read_bytes() if data is None else data
        form = {"reuse": "false", **asked}
        answer = client.post("/v1/reviews", files={"file": (name, content)}, data=form)
        assert answer.status_code in (200, 202), answer.text
        return f"/#/reviews/{answer.json()['id']}"


def hidden_text_pdf() -> bytes:
    with pymupdf.open(stream=PAPER.read_bytes(), filetype="pdf") as document:
        inject(document[0], "white", PAYLOADS[0], random.Random(1))  # noqa: S311
        data: bytes = document.tobytes()
        return data


def ready(page: Page) -> None:
    """Wait until the points are shown, and on a wide screen the first page beside them."""
    page.wait_for_selector(".cards .point")
    page.wait_for_selector(".page", state="attached")
    if page.locator(".pane.paper").is_visible():
        page.wait_for_selector(".page img[src]")


def violations(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']}: {node['html'][:160]} {node.get('failureSummary', '')}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def test_the_whole_way_of_a_paper(open_page: Open) -> None:
    page = open_page()
    page.get_by_text("Options", exact=True).click()
    page.get_by_label("Make a new review").check()
    page.set_input_files("#files", PAPER)
    page.wait_for_url(re.compile("#/reviews/rev_"))
    ready(page)
    assert "Counting Tokens Twice" in page.inner_text(".title")
    assert "not calibrated" in page.inner_text(".verdict")
    assert page.locator(".scale .band").count() == 1
    first = page.locator("#card-strengths-1")
    # The evidence of the point under the pointer.
    first.hover()
    assert page.locator(".evidence.active").count() > 0
    # A claim that the paper does not contain is marked where it stands.
    assert first.locator("mark").first.inner_text() == "Table 99"
    # From a passage to its point.
    page.locator('.evidence[data-point="weaknesses-1"]').first.dispatch_event("click")
    page.wait_for_selector("#card-weaknesses-1:focus")
    page.click("#useful-strengths-1")
    page.wait_for_selector("#useful-strengths-1[aria-pressed=true]")
    page.click("#dismiss-strengths-2")
    page.get_by_role("button", name="not in the paper").click()
    page.wait_for_selector("#card-strengths-2.dismissed")
    page.click("#edit-weaknesses-1")
    page.fill("#card-weaknesses-1 textarea", "It has no baseline.")
    page.get_by_role("button", name="Save", exact=True).first.click()
    page.wait_for_selector("#card-weaknesses-1 summary:has-text('edited')")
    page.reload()
    ready(page)
    assert page.locator("#card-strengths-2.dismissed").count() == 1
    assert page.locator("#card-weaknesses-1 > div > .prose").inner_text() == "It has no baseline."
    page.select_option("#export-format", "form")
    with page.expect_download() as saving:
        page.locator(".export button.main").click()
    form = saving.value.path().read_text(encoding="utf-8")
    assert "## Weaknesses\n- It has no baseline.\n" in form
    assert "It says so." not in form


def test_a_point_of_ones_own_with_a_passage_chosen_on_the_page(open_page: Open, site: Site) -> None:
    page = open_page(reviewed(site))
    ready(page)
    page.click("#add-point")
    page.fill("#new-text", "A box that was drawn.")
    page.get_by_role("button", name="Choose a passage").click()
    page.wait_for_selector(".overlay.drawing .pick")
    sheet = page.locator(".page").first.bounding_box()
    assert sheet
    page.mouse.move(sheet["x"] + 90, sheet["y"] + 230)
    page.mouse.down()
    page.mouse.move(sheet["x"] + 540, sheet["y"] + 300, steps=4)
    page.mouse.up()
    page.wait_for_selector(".new-point p:has-text('Gateways in front')")
    page.locator(".new-point button.main").click()
    page.wait_for_selector("#card-own-1")
    assert page.locator('.evidence[data-point="own-1"]').count() == 1
    # And a block, with the keyboard.
    page.click("#add-point")
    page.fill("#new-text", "A block.")
    page.get_by_role("button", name="Choose a passage").click()
    page.wait_for_selector(".pick:focus")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector(".new-point p:has-text('Passage:')")
    page.locator(".new-point button.main").click()
    page.wait_for_selector("#card-own-2")
    assert page.locator(".pick").count() == 0


def test_what_a_review_waits_for_and_that_a_closed_tab_loses_nothing(
    open_page: Open, site: Site
) -> None:
    site.gate.unlink()
    try:
        page = open_page()
        page.set_input_files("#files", pdf_file(paper_pdf("A Paper That Waits")))
        page.wait_for_selector(".step:has-text('tokens of the paper')")
        page.locator(".outline summary").click()
        assert "Introduction" in page.inner_text(".outline")
        assert "Kept from the model: authors" in page.inner_text(".integrity")
        page.wait_for_selector(".page img[src]", state="attached")
        page.close()
        other = open_page()
        other.wait_for_selector(".badge.in_progress")
    finally:
        site.gate.touch()
    other.get_by_role("link", name="A Paper That Waits").click()
    other.wait_for_selector(".verdict")
    ready(other)


def test_several_papers_at_once_with_their_state(open_page: Open) -> None:
    page = open_page()
    names = [f"paper {number}.pdf" for number in range(3)]
    files = [pdf_file(paper_pdf(f"Batch Paper {name}"), name) for name in names]
    page.set_input_files("#files", [*files, pdf_file(b"no pdf", "broken.pdf")])
    page.wait_for_selector(".sent li:nth-child(4)")
    for name in names:
        page.wait_for_selector(f".sent li:has-text('{name}') a")
        page.wait_for_selector(f".reviews tr:has-text('Batch Paper {name}') .badge.completed")
    page.wait_for_selector(".reviews tr:has-text('broken.pdf') .badge.failed")
    assert "not a PDF" in page.inner_text(".reviews tr:has-text('broken.pdf')")
    assert page.locator(".histogram .bar").count() == 10
    page.select_option("#filter-status", "failed")
    page.wait_for_selector(".reviews tbody:not(:has(.badge.completed)) .badge.failed")
    with page.expect_download() as saving:
        page.get_by_role("button", name="Table as CSV").click()
    table = saving.value.path().read_text(encoding="utf-8")
    assert table.startswith("id,created,title,file,status")
    assert "broken.pdf,failed" in table


def test_hostile_texts_are_only_texts(open_page: Open, site: Site) -> None:
    title = "&lt;script&gt;hacked=1&lt;/script&gt; &lt;b onclick=x&gt;Counting&lt;/b&gt;"
    name = "<img src=x onerror=hacked=1>\u202efdp.exe.pdf"
    address = reviewed(site, paper_pdf(title), name)
    with site.client() as client:
        long = "<i>" + "A" * 9_000 + "\u202e" + "\u05d0" * 990 + "</i>"
        change = {"version": 0, "edit": [{"id": "strengths-2", "text": long}]}
        path = f"/v1/reviews/{address.rpartition('/')[2]}/points"
        assert client.patch(path, json=change).status_code == 200
    page = open_page(address)
    ready(page)
    assert "<script>hacked=1</script>" in page.inner_text(".title")
    shown = page.locator("#card-strengths-1 > div > .prose").inner_text()
    assert "<img src=x onerror=hacked=1>" in shown
    assert "</bdi></p><script>hacked=1</script>" in shown
    assert len(page.locator("#card-strengths-2 > div > .prose").inner_text()) == len(long)
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("main script, main i, main b, main img:not(.page img)").count() == 0
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    # A mark turns nothing beyond its own text.
    page.goto(f"{site.url}/#/")
    page.wait_for_selector(".reviews tbody tr")
    assert page.locator(".reviews tbody th a").first.locator("bdi").count() == 1
    assert page.evaluate("typeof hacked") == "undefined"


def test_all_of_it_with_the_keyboard_alone(open_page: Open) -> None:
    page = open_page()
    # Choosers are intercepted from the first listener on, but Playwright does not wait for that.
    page.on("filechooser", lambda _: None)
    page.wait_for_selector(".reviews tbody tr")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    with page.expect_file_chooser() as choosing:
        page.keyboard.press("Space")
    choosing.value.set_files([pdf_file(paper_pdf("A Paper for the Keyboard"))])
    page.wait_for_url(re.compile("#/reviews/"))
    ready(page)

    def tab_to(element_id: str) -> None:
        for _ in range(200):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == element_id:
                return
        raise AssertionError(f"no Tab reaches {element_id}")

    tab_to("dismiss-strengths-1")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "wrong"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#card-strengths-1 :text('dismissed: trivial')")
    tab_to("edit-strengths-2")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+A")
    page.keyboard.type("Typed.")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#card-strengths-2 .prose:has-text('Typed.')")
    page.wait_for_selector("#edit-strengths-2:focus")
    assert page.locator("#status").inner_text() == "Saved."


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_no_fault(open_page: Open, site: Site, axe: str, scheme: str, width: int) -> None:
    viewport = {"width": width, "height": 740}
    page = open_page(reviewed(site, hidden_text_pdf()), color_scheme=scheme, viewport=viewport)
    ready(page)
    page.click("#dismiss-strengths-1")
    page.click("#edit-weaknesses-1")
    page.click("#add-point")
    assert violations(page, axe) == []
    if width == 360:
        page.locator(".switch button", has_text="Paper").click()
        page.check("#blocks")
        page.wait_for_selector(".overlay .block")
        assert violations(page, axe) == []
    page.goto(f"{site.url}/#/")
    page.wait_for_selector(".reviews tbody tr .badge")
    page.wait_for_selector(".stats")
    assert violations(page, axe) == []
    keyless = open_page(key=False, color_scheme=scheme, viewport=viewport)
    keyless.wait_for_selector("dialog[open]")
    assert violations(keyless, axe) == []


def test_at_360_pixels_one_side_is_shown_at_a_time(open_page: Open, site: Site) -> None:
    page = open_page(reviewed(site), **NARROW)
    ready(page)
    assert page.locator(".pane.paper").is_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator("#card-weaknesses-1 .passages summary").click()
    page.locator("#card-weaknesses-1 .passages .place").first.click()
    assert page.locator(".pane.paper").is_visible()
    assert page.locator(".pane.review").is_hidden()
    page.locator('.evidence[data-point="weaknesses-1"]').first.dispatch_event("click")
    page.wait_for_selector("#card-weaknesses-1:focus")
    page.goto(f"{site.url}/#/")
    page.wait_for_selector(".reviews tbody tr")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_two_tabs_do_not_overwrite_each_other(open_page: Open, site: Site) -> None:
    address = reviewed(site)
    one, two = open_page(address), open_page(address)
    for page in (one, two):
        ready(page)
    one.click("#useful-strengths-1")
    one.wait_for_selector("#useful-strengths-1[aria-pressed=true]")
    two.click("#useful-strengths-2")
    two.wait_for_selector("#toast:has-text('Somebody has changed the points')")
    two.wait_for_selector("#useful-strengths-1[aria-pressed=true]")
    assert two.get_attribute("#useful-strengths-2", "aria-pressed") == "false"
    two.click("#useful-strengths-2")
    two.wait_for_selector("#useful-strengths-2[aria-pressed=true]")


def test_hidden_text_is_shown_in_red_where_it_stands(open_page: Open, site: Site) -> None:
    page = open_page(reviewed(site, hidden_text_pdf()))
    ready(page)
    assert PAYLOADS[0] in page.inner_text(".integrity.alarming")
    mark = page.locator(".overlay .hidden").first
    assert mark.evaluate("mark => getComputedStyle(mark).fill") == "rgb(211, 20, 10)"
    assert PAYLOADS[0] in (mark.locator("title").text_content() or "")


def test_a_paper_without_pages_is_shown_as_text(open_page: Open, site: Site) -> None:
    text = b"# Counting Words\n\n## Abstract\n\nWe count tokens.\n\n## Method\n\nIt counts them."
    page = open_page(reviewed(site, text, "paper.md"))
    page.wait_for_selector(".cards .point")
    page.wait_for_selector(".sheet.text")
    assert "It counts them." in page.inner_text(".sheet.text")
    page.click("#add-point")
    page.fill("#new-text", "About the method.")
    page.locator(".new-point").get_by_role("button", name="Choose a passage").click()
    page.get_by_role("button", name=re.compile("Pick block .*We count tokens")).click()
    page.locator(".new-point button.main").click()
    page.wait_for_selector("#card-own-1")


def test_the_key_is_asked_for_and_kept_for_the_tab(open_page: Open) -> None:
    page = open_page(key=False)
    page.wait_for_selector("dialog[open]")
    page.keyboard.type("rvk-wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog .error:has-text('not valid')")
    page.fill("#key", ALICE)
    page.keyboard.press("Enter")
    page.wait_for_selector(".reviews tbody tr")
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate("document.cookie") == ""
    assert ALICE not in page.url
    page.reload()
    page.wait_for_selector(".reviews tbody tr")
    page.click("#key-button")
    page.wait_for_selector("dialog[open]")


def test_who_wants_no_motion_gets_none(open_page: Open, site: Site) -> None:
    page = open_page(reviewed(site), reduced_motion="reduce")
    ready(page)
    moving = "[...document.querySelectorAll('*')].map(e => getComputedStyle(e).animationName)"
    assert set(page.evaluate(moving)) == {"none"}


def test_a_review_that_is_gone_says_so(open_page: Open) -> None:
    page = open_page("/#/reviews/rev_00000000")
    page.wait_for_selector("main .error:has-text('no review')")


def test_the_modules_types_are_right() -> None:
    tsc = TOOLS / "typescript" / "bin" / "tsc"
    if not tsc.exists():
        pytest.skip(f"there is no TypeScript: {HOW}")
    config = Path(__file__).with_name("jsconfig.json")
    done = subprocess.run(["node", tsc, "-p", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
