"""Title, abstract and sections of PDFs: made here, and thirty real ones where they are."""

from __future__ import annotations

import contextlib
import difflib
import json
from pathlib import Path

import pymupdf
import pytest

from app.errors import PaperError, PdfNoText
from app.paper.clean import clean
from app.paper.model import Paper, Paragraph
from app.paper.pdf.extract import ExtractOptions, extract_paper
from tests.papers import EXAMPLES, blank_pdf, paper_html, typeset

OPTIONS = ExtractOptions(max_pages=200)


def read(data: bytes) -> Paper:
    return extract_paper(data, OPTIONS)


def body_text(paper: Paper) -> str:
    return "\n".join(section.text for section in paper.sections)


def paragraphs(paper: Paper) -> list[Paragraph]:
    return [paragraph for section in paper.sections for paragraph in section.paragraphs]


def test_sections_in_order_with_their_pages() -> None:
    names = ("Introduction", "Related Work", "Method", "Results", "Conclusion")
    paper = read(typeset(paper_html(words_per_section=400, sections=names)))
    assert [section.heading for section in paper.sections] == [
        *(f"{number} {name}" for number, name in enumerate(names, 1)),
        "References",
    ]
    assert [section.kind for section in paper.sections] == ["body"] * 5 + ["references"]
    assert [section.page for section in paper.sections] == sorted(
        section.page for section in paper.sections
    )
    assert paper.sections[-1].page == paper.pages > 2
    for name, section in zip(names, paper.sections, strict=False):
        assert section.text.count(name.lower().split()[0]) == 400
    assert read(typeset(paper_html())) == read(typeset(paper_html()))


def test_the_example_is_read_as_it_stands() -> None:
    paper = read((EXAMPLES / "paper.pdf").read_bytes())
    assert paper.title == "Counting Tokens Twice: What a Second Tokenizer Costs a Gateway"
    assert paper.abstract.startswith("Gateways in front of language models")
    assert [section.kind for section in paper.sections][-1] == "references"
    assert not paper.integrity.hidden_text
    assert not paper.integrity.repaired


def set_pages(*texts: str, rotation: int = 0) -> bytes:
    with pymupdf.open() as document:
        for number, text in enumerate(texts, 1):
            page = document.new_page()
            page.insert_text((72, 30), "A Running Head", fontsize=9)
            page.insert_text((300, 820), str(number), fontsize=9)
            page.insert_textbox(pymupdf.Rect(72, 100, 520, 780), text, fontsize=11)
            page.set_rotation(rotation)
        data: bytes = document.tobytes()
        return data


def test_running_heads_and_page_numbers_are_no_text() -> None:
    paper = read(set_pages(*(f"Page {n} speaks of something. " * 20 for n in range(5))))
    text = body_text(paper)
    assert "Running Head" not in text
    assert "Page 3 speaks" in text
    assert not any(line.strip().isdigit() for line in text.splitlines())
    assert paper.integrity.dropped == {"running_head": 10}


def test_words_divided_at_a_lines_end_are_whole() -> None:
    text = body_text(
        read(set_pages("We measure the perfor-\nmance of models. " + "More words here. " * 30))
    )
    assert "performance of models" in text


def test_the_papers_own_spelling_decides_on_a_hyphen() -> None:
    said = "A state-of-the-art model. We are state-\nof-the-art. Fine-\ntuned, as fine-tuned ones. "
    text = body_text(read(set_pages(said + "More words here. " * 30)))
    assert "We are state-of-the-art." in text
    assert "Fine-tuned, as" in text


def test_a_word_divided_at_a_paragraphs_last_line_is_whole() -> None:
    """An inline fraction or a list's indentation parts the lines of a sentence."""
    with pymupdf.open() as document:
        page = document.new_page()
        page.insert_text((72, 70), "A Title in Letters of Its Own", fontsize=17)
        for y, text in ((100, "We take the largest eigen-"), (140, "value of the matrix L. " * 3)):
            page.insert_text((72, y), text, fontsize=11)
        page.insert_textbox(pymupdf.Rect(72, 200, 520, 700), "More words here. " * 60, fontsize=11)
        assert "largest eigenvalue of the matrix" in body_text(read(document.tobytes()))


def test_metadata_and_alt_texts_are_never_used() -> None:
    with pymupdf.open(stream=set_pages("We speak of something. " * 40)) as document:
        document.set_metadata({"title": "SECRET title", "keywords": "SECRET", "subject": "SECRET"})
        document.set_xml_metadata("<x>SECRET</x>")
        document.set_toc([[1, "SECRET heading", 1]])
        page = document[0]
        page.insert_link({"kind": pymupdf.LINK_URI, "from": page.rect, "uri": "https://SECRET.org"})
        page.insert_text((72, 60), "A figure", fontsize=11)
        xref = page.get_contents()[-1]
        stream = document.xref_stream(xref).replace(b"BT", b"/Figure <</Alt (SECRET)>> BDC BT")
        document.update_stream(xref, stream.replace(b"ET", b"ET EMC"))
        paper = read(document.tobytes())
    assert "A figure" in str(paper)
    assert "SECRET" not in str(paper)


def columns_pdf() -> bytes:
    """Two columns; a figure's caption and a footnote interrupt a sentence of the left one."""
    left = (
        "<h3>1 Introduction</h3><p>The first sentence of the left column begins here and is long "
        "enough to fill several lines. " + "Leftish words follow one another. " * 14 + "This "
        "sentence is broken off by a figure and goes on in the</p>"
    )
    right = (
        "<p>right column, where it ends. " + "Rightish words follow one another. " * 12 + "</p>"
        "<h3>2 Method</h3><p>" + "The method has words of its own. " * 10 + "</p>"
    )
    with pymupdf.open() as document:
        page = document.new_page(width=612, height=792)
        page.insert_htmlbox((72, 60, 540, 110), "<h1 style='text-align:center'>On Columns</h1>")
        page.insert_htmlbox((72, 110, 540, 170), "<h3>Abstract</h3><p>We speak of columns.</p>")
        page.insert_htmlbox((72, 190, 296, 560), left)
        page.insert_htmlbox((72, 600, 296, 640), "<p>Figure 1: A caption that stands apart.</p>")
        note = "<p style='font-size:7px'><sup>1</sup>A note at the foot.</p>"
        page.insert_htmlbox((72, 690, 296, 720), note)
        page.insert_htmlbox((316, 190, 540, 720), right)
        data: bytes = document.tobytes()
        return data


def test_columns_are_read_one_after_the_other_and_sentences_over_floats_whole() -> None:
    paper = read(columns_pdf())
    assert [section.heading for section in paper.sections] == ["1 Introduction", "2 Method"]
    introduction = paper.sections[0]
    assert "goes on in the right column, where it ends." in introduction.text
    kinds = [paragraph.kind for paragraph in introduction.paragraphs]
    assert kinds == ["text", "caption", "footnote"]
    assert introduction.text.index("Leftish") < introduction.text.index("Rightish")


def test_columns_that_are_stored_line_by_line_are_read_one_after_the_other() -> None:
    """As word processors and OCR leave them: each line of the left beside one of the right."""
    with pymupdf.open() as document:
        page = document.new_page(width=612, height=792)
        for line in range(40):
            for column, side in ((72, "left"), (322, "right")):
                at = (column, 100 + 14 * line)
                page.insert_text(
                    at, f"The {side} column's line {line} of forty goes on", fontsize=9
                )
        text = body_text(read(document.tobytes()))
    assert text.index("left column's line 39") < text.index("right column's line 0")


@pytest.mark.parametrize("make", [columns_pdf, lambda: typeset(paper_html(words_per_section=300))])
def test_every_character_is_traced_to_its_line(make: object) -> None:
    assert callable(make)
    data = make()
    paper = read(data)
    with pymupdf.open(stream=data) as document:
        for paragraph in paragraphs(paper):
            assert paragraph.anchors[0].start == 0
            assert paragraph.anchors[-1].end == len(paragraph.text)
            for before, after in zip(paragraph.anchors, paragraph.anchors[1:], strict=False):
                assert before.end == after.start
            for anchor in paragraph.anchors:
                page = document[anchor.page - 1]
                there = clean(page.get_text(clip=pymupdf.Rect(anchor.bbox)))
                words = paragraph.text[anchor.start : anchor.end].rstrip("-").split()
                assert words[0] in there


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_positions_on_a_rotated_page_are_those_of_the_page_as_shown(rotation: int) -> None:
    text = "Words that are turned with their page. " * 20
    straight = read(set_pages(text))
    with pymupdf.open(stream=set_pages(text, rotation=rotation)) as document:
        shown = document[0].rect
        turned = extract_paper(document.tobytes(), OPTIONS)
    line = paragraphs(turned)[0].anchors[0].bbox
    assert shown.contains(pymupdf.Rect(line))
    assert pymupdf.Rect(line) != pymupdf.Rect(paragraphs(straight)[0].anchors[0].bbox)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_a_truncated_file_is_read_or_refused_but_never_crashes(cut: float) -> None:
    data = typeset(paper_html(words_per_section=400))
    with contextlib.suppress(PaperError):
        assert read(data[: int(len(data) * cut)]).integrity.repaired


def scanned(data: bytes) -> bytes:
    """The same pages as pictures."""
    with pymupdf.open(stream=data) as source, pymupdf.open() as scan:
        for page in source:
            picture = page.get_pixmap(dpi=150)
            scan.new_page(width=page.rect.width, height=page.rect.height).insert_image(
                page.rect, pixmap=picture
            )
        made: bytes = scan.tobytes()
        return made


def test_a_scan_is_read_by_ocr_where_that_is_wanted() -> None:
    scan = scanned(typeset(paper_html(words_per_section=40)))
    with pytest.raises(PdfNoText, match="a scan"):
        read(scan)
    paper = extract_paper(scan, ExtractOptions(max_pages=200, ocr=True))
    assert paper.title == "Counting Tokens Twice Is Once Too Often"
    assert "once is enough" in paper.abstract
    assert paper.integrity.ocr_pages == (1, 2)


def test_blank_pages_are_no_scan() -> None:
    with pytest.raises(PdfNoText):
        extract_paper(blank_pdf(), ExtractOptions(max_pages=200, ocr=True))


def test_real_papers(shared_papers: Path) -> None:
    titles = abstracts = references = 0
    lines = (shared_papers / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    truth = [json.loads(line) for line in lines]
    for row in truth:
        data = (shared_papers / row["file"]).read_bytes()
        paper = extract_paper(data, ExtractOptions(max_pages=200, detect_hidden=False))
        titles += paper.title.casefold() == row["title"].casefold()
        abstracts += _similar(paper.abstract, row["abstract"]) >= 0.95
        references += any(
            section.kind == "references" and len(section.text) > 500 for section in paper.sections
        )
    assert len(truth) == 30
    assert titles >= 29
    assert abstracts >= 28
    # One of the thirty is a draft that has none.
    assert references == 29


def _similar(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
