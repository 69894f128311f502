"""What can't be seen is found and left out; what can be seen stays."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pymupdf
import pytest

from app.paper.hidden.inspector import Inspector, PageFindings
from app.paper.pdf.lines import FLAGS
from tests.conftest import SHARED
from tests.handmade import page, stream
from tests.hidden_techniques import PAYLOADS, TECHNIQUES, WHITE, inject
from tests.papers import paper_pdf
from tests.type3 import page_in_bitmap_letters

HIDDEN = SHARED / "pdfs" / "hidden"
MANIFEST = HIDDEN / "manifest.json"


def inspected(data: bytes) -> Iterator[tuple[PageFindings, str]]:
    """Each page's findings, and its text without what is hidden."""
    with pymupdf.open(stream=data, filetype="pdf") as document:
        inspector = Inspector(document)
        for page in document:
            content = page.get_text("dict", flags=FLAGS)
            findings = inspector.inspect(page, content)
            yield findings, visible_text(content, findings)


def visible_text(content: dict, findings: PageFindings) -> str:  # type: ignore[type-arg]
    lines = []
    for block_number, block in enumerate(content["blocks"]):
        for line_number, line in enumerate(block["lines"]):
            lines.append(
                "".join(
                    findings.visible.get((block_number, line_number, span_number), span["text"])
                    for span_number, span in enumerate(line["spans"])
                )
            )
    return "\n".join(lines)


def squeezed(text: str) -> str:
    return "".join(text.split())


def one_page() -> pymupdf.Document:
    document = pymupdf.open()
    document.new_page()
    return document


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_each_technique_is_found_in_a_typeset_paper(technique: str) -> None:
    generator = random.Random(technique)  # noqa: S311
    with pymupdf.open(stream=paper_pdf(), filetype="pdf") as document:
        inject(document[0], technique, PAYLOADS[0], generator)
        ((findings, visible), *_) = inspected(document.tobytes())
    reported = squeezed("".join(finding.text for finding in findings.hidden))
    assert all(word in reported for word in PAYLOADS[0].split())
    assert "INSTRUCTIONS" not in squeezed(visible)
    assert all(finding.page == 1 for finding in findings.hidden)
    with pymupdf.open(stream=paper_pdf(), filetype="pdf") as clean:
        assert set(clean[0].get_text().split()) <= set(visible.split())


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_each_technique_is_found_in_a_real_paper(technique: str, shared_papers: Path) -> None:
    generator = random.Random(technique)  # noqa: S311
    with pymupdf.open(generator.choice(sorted(shared_papers.glob("*.pdf")))) as document:
        number = generator.randrange(document.page_count)
        document.select([number])
        inject(document[0], technique, PAYLOADS[0], generator)
        ((findings, visible),) = inspected(document.tobytes())
    reported = squeezed("".join(finding.text for finding in findings.hidden))
    assert all(word in reported for word in PAYLOADS[0].split())
    assert "INSTRUCTIONS" not in squeezed(visible)


def manifest() -> list[dict[str, object]]:
    return json.loads(MANIFEST.read_text(encoding="utf-8")) if MANIFEST.is_file() else []


@pytest.mark.skipif(not MANIFEST.is_file(), reason="the shared papers are not here")
@pytest.mark.parametrize("entry", manifest(), ids=lambda entry: str(entry["file"]))
def test_the_shared_files(entry: dict[str, object]) -> None:
    payload = str(entry["payload"])
    ((findings, visible),) = inspected((HIDDEN / str(entry["file"])).read_bytes())
    if entry["hidden"]:
        assert payload in "".join(finding.text for finding in findings.hidden)
        assert payload not in visible
    else:
        assert findings == PageFindings()
        assert (payload in visible) == entry["in_get_text"]


def test_a_clean_paper_is_left_as_it_is() -> None:
    for findings, _ in inspected(paper_pdf()):
        assert findings == PageFindings()


def test_a_white_word_within_a_line_is_taken_out_of_it() -> None:
    document = one_page()
    for x, text, colour in (
        (72, "We do", (0, 0, 0)),
        (102, "never", WHITE),
        (130, "agree", (0, 0, 0)),
    ):
        document[0].insert_text((x, 100), text, fontsize=11, color=colour)
    ((_, visible),) = inspected(document.tobytes())
    assert "never" not in visible
    assert squeezed(visible) == "Wedoagree"


def test_a_covered_part_of_a_span_is_taken_out_of_it() -> None:
    document = one_page()
    page = document[0]
    page.insert_text((72, 100), "We like this paper and not only today", fontsize=11)
    page.draw_rect(page.search_for("this paper")[0], color=None, fill=WHITE)
    ((findings, visible),) = inspected(document.tobytes())
    assert [finding.kind for finding in findings.hidden] == ["covered"]
    assert squeezed(findings.hidden[0].text) == "thispaper"
    assert squeezed(visible) == "Welikeandnotonlytoday"


@pytest.mark.parametrize(
    ("colour", "box"),
    [
        ((0.6, 0.6, 0.6), None),
        ((1, 1, 0), (0, 0, 0.5)),
        ((1, 1, 1), (0.2, 0.2, 0.2)),
        ((1, 0, 0), (0, 1, 0)),
        ((0, 0, 0), (0.7, 0.8, 1)),
    ],
)
def test_coloured_text_that_can_be_read_stays(
    colour: tuple[float, ...], box: tuple[float, ...] | None
) -> None:
    document = one_page()
    if box:
        document[0].draw_rect((60, 80, 400, 120), color=None, fill=box)
    document[0].insert_text((72, 100), "Readable as it stands", fontsize=8, color=colour)
    ((findings, visible),) = inspected(document.tobytes())
    assert findings == PageFindings()
    assert visible == "Readable as it stands"


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_page_is_judged_like_any_other(rotation: int) -> None:
    document = one_page()
    document[0].insert_text((72, 100), "Plain to see for everyone", fontsize=11)
    document[0].insert_text((72, 200), "Nobody sees any of this", fontsize=11, color=WHITE)
    document[0].set_rotation(rotation)
    ((findings, visible),) = inspected(document.tobytes())
    assert [finding.text for finding in findings.hidden] == ["Nobody sees any of this"]
    assert visible.split("\n")[0] == "Plain to see for everyone"


def scan(words: str) -> bytes:
    """A picture of a page, and over it an invisible text: the picture's, or more than that."""
    drawn = "The quick brown fox jumps over the lazy dog in this scanned paper"
    with one_page() as original:
        original[0].insert_text((72, 100), drawn, fontsize=14)
        picture = original[0].get_pixmap(dpi=100)
    document = one_page()
    document[0].insert_image(document[0].rect, pixmap=picture)
    document[0].insert_text((72, 100), drawn, fontsize=14, render_mode=3)
    document[0].insert_text((72, 400), words, fontsize=14, render_mode=3)
    data: bytes = document.tobytes()
    return data


def test_the_ocr_layer_of_a_scan_is_its_text() -> None:
    ((findings, visible),) = inspected(scan(""))
    assert findings == PageFindings()
    assert visible.startswith("The quick brown fox")


def test_words_of_an_ocr_layer_where_the_scan_is_blank_are_hidden() -> None:
    ((findings, visible),) = inspected(scan("Accept this"))
    assert [finding.text for finding in findings.hidden] == ["Accept this"]
    assert visible.strip().startswith("The quick")
    assert "Accept" not in visible


def test_a_huge_page_is_rendered_small() -> None:
    document = pymupdf.open()
    page = document.new_page(width=14_400, height=14_400)
    page.insert_text((72, 300), "A poster", fontsize=200)
    ((findings, visible),) = inspected(document.tobytes())
    assert findings == PageFindings()
    assert visible == "A poster"


def test_letters_in_a_type_3_fonts_own_units_are_not_tiny() -> None:
    """Their size in the file is 0.12, and what they draw is ten points high."""
    font = (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 0 0] /FontMatrix [1 0 0 1 0 0] "
        b"/CharProcs << /a 7 0 R >> /Encoding << /Differences [97 /a] >> /FirstChar 97 "
        b"/LastChar 97 /Widths [60] /Resources << >> >>"
    )
    glyph = stream(b"60 0 0 0 50 80 d1 0 0 50 80 re f")
    shown = b"BT /F2 .12 Tf 72 500 Td (aaaaaaaaaaaa) Tj ET"
    ((findings, visible),) = inspected(page(shown, font, glyph))
    assert findings == PageFindings()
    assert "aaaaaaaaaaaa" in visible


def test_bitmap_fonts_of_tex_are_what_they_claim() -> None:
    """dvips turns a font's space upside down, and the page turns it back."""
    texts = ["Gravity bends the quickest boxes", "and jumps over the lazy dog again"]
    (findings, text), *_ = inspected(page_in_bitmap_letters(texts))
    assert findings.hidden == ()
    assert all(line in " ".join(text.split()) for line in texts)
