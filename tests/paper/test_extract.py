"""Title, abstract and sections of PDFs: made here, and thirty real ones where they are."""

from __future__ import annotations

import contextlib
import difflib
import json
from pathlib import Path

import pymupdf
import pytest

from app.errors import PaperError
from app.paper.extract import extract_paper
from app.paper.lines import clean
from app.paper.model import Paper
from tests.papers import EXAMPLES, paper_html, typeset

MAX_PAGES = 200


def test_sections_in_order_with_their_pages() -> None:
    names = ("Introduction", "Related Work", "Method", "Results", "Conclusion")
    paper = extract_paper(typeset(paper_html(words_per_section=400, sections=names)), MAX_PAGES)
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
        text = " ".join(section.paragraphs)
        words = name.lower().split()[0]
        assert text.count(words) == 400
    assert extract_paper(typeset(paper_html()), MAX_PAGES) == extract_paper(
        typeset(paper_html()), MAX_PAGES
    )


def test_the_example_is_read_as_it_stands() -> None:
    paper = extract_paper((EXAMPLES / "paper.pdf").read_bytes(), MAX_PAGES)
    assert paper.title == "Counting Tokens Twice: What a Second Tokenizer Costs a Gateway"
    assert paper.abstract.startswith("Gateways in front of language models")
    assert [section.kind for section in paper.sections][-1] == "references"


@pytest.mark.parametrize(
    ("raw", "mended"),
    [
        ("a\x00b\x07c", "abc"),
        ("e\x1bective \x1cnal \x1dow \x1eliation", "effective final flow ffiliation"),
        ("\ufb01nal o\ufb03ce", "final office"),
        ("x\u00b2 stays", "x\u00b2 stays"),
        ("  a \t b\n", "a b"),
        ("lone \ud800 surrogate", "lone ? surrogate"),
    ],
)
def test_cleaning(raw: str, mended: str) -> None:
    assert clean(raw) == mended


def with_pages(*texts: str) -> Paper:
    with pymupdf.open() as document:
        for number, text in enumerate(texts, 1):
            page = document.new_page()
            page.insert_text((72, 30), "A Running Head", fontsize=9)
            page.insert_text((300, 820), str(number), fontsize=9)
            page.insert_textbox(pymupdf.Rect(72, 100, 520, 780), text, fontsize=11)
        return extract_paper(document.tobytes(), MAX_PAGES)


def test_running_heads_and_page_numbers_are_no_text() -> None:
    paper = with_pages(*(f"Page {n} speaks of something. " * 20 for n in range(5)))
    text = "\n".join(text for section in paper.sections for text in section.paragraphs)
    assert "Running Head" not in text
    assert "Page 3 speaks" in text
    assert not any(line.strip().isdigit() for line in text.splitlines())


def test_words_divided_at_a_lines_end_are_whole() -> None:
    paper = with_pages("We measure the perfor-\nmance of models. " + "More words here. " * 30)
    text = " ".join(text for section in paper.sections for text in section.paragraphs)
    assert "performance of models" in text


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9])
def test_a_truncated_file_is_read_or_refused_but_never_crashes(cut: float) -> None:
    data = typeset(paper_html(words_per_section=400))
    with contextlib.suppress(PaperError):
        assert extract_paper(data[: int(len(data) * cut)], MAX_PAGES).pages


def test_real_papers(shared_papers: Path) -> None:
    """Counts as they are today; the next extractor raises them."""
    titles = abstracts = references = 0
    lines = (shared_papers / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    truth = [json.loads(line) for line in lines]
    for row in truth:
        paper = extract_paper((shared_papers / row["file"]).read_bytes(), MAX_PAGES)
        titles += paper.title.casefold() == row["title"].casefold()
        abstracts += _similar(paper.abstract, row["abstract"]) >= 0.95
        references += any(section.kind == "references" for section in paper.sections)
    assert len(truth) == 30
    assert titles >= 26
    assert abstracts >= 28
    assert references >= 27


def _similar(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
