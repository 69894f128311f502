"""Title, abstract and authors end where the text begins, in papers of every field."""

from __future__ import annotations

import pytest

from app.paper.model import Paper
from app.paper.pdf.extract import ExtractOptions, extract_paper
from tests.handmade import page
from tests.sheets import (
    ABSTRACT,
    BOLD,
    ITALIC,
    ROMAN,
    SENTENCE,
    SPACE,
    TITLE,
    Column,
    front,
    heading,
    headings,
    lines,
    read,
    references,
    section,
)

PARTS = (
    ("Background", "Papers are set in many ways, and nobody reads them all by one rule."),
    ("Methods", "We measure ten layouts on a thousand pages, each of them twice."),
    ("Results", "Reading by the looks of lines works in nine of ten layouts."),
    ("Conclusions", "The tenth is no paper, as we show."),
)


def whole(paper: Paper) -> str:
    parts = [part for section in paper.sections for part in (section.heading, section.text)]
    return " ".join([paper.title, paper.abstract, *parts])


def times_said(paper: Paper) -> int:
    """How often the sentence stands in sections that reach the model."""
    text = " ".join(s.text for s in paper.sections if s.kind == "body")
    return " ".join(text.split()).count(SENTENCE.strip())


def test_the_text_of_a_letter_without_headings_is_no_abstract() -> None:
    prose = [SPACE, *lines(SENTENCE * 6), SPACE, *lines(SENTENCE * 6)]
    paper = read(
        front(heading("Abstract", 9), lines(ABSTRACT, 90, 9), prose),
        [*prose, *prose, *references("References")],
        blind=True,
    )
    assert paper.abstract == ABSTRACT
    assert times_said(paper) == 36
    assert "Jane Doe" not in whole(paper)


def test_an_abstract_in_the_texts_own_face_ends_somewhere() -> None:
    prose = [line for _ in range(8) for line in (SPACE, *lines(SENTENCE * 5))]
    paper = read(
        front(heading("Abstract", 10), lines(ABSTRACT), prose[:9]), prose, prose, blind=True
    )
    assert paper.abstract.startswith(ABSTRACT)
    assert len(paper.abstract) < 3500
    assert times_said(paper) > 35


@pytest.mark.parametrize("label", [BOLD, ROMAN], ids=["bold labels", "plain labels"])
def test_a_structured_abstract_and_sections_of_the_same_names(label: str) -> None:
    parts: list[tuple[float, object]] = []
    for name, text in PARTS:
        parts += [(9, ((f"{name}:", label), (text, ROMAN)))]
    body = [line for name, _ in PARTS for line in section(name)]
    paper = read(
        front(heading("Abstract", 9), parts, section("Introduction")),  # type: ignore[arg-type]
        body[: len(body) // 2],
        [*body[len(body) // 2 :], *references("References")],
        blind=True,
    )
    assert paper.abstract == " ".join(f"{name}: {text}" for name, text in PARTS)
    assert headings(paper, "body") == ["Introduction", *(name for name, _ in PARTS)]
    assert times_said(paper) == 45


def test_bold_numbered_entries_are_no_headings() -> None:
    entries: list[tuple[float, object]] = []
    for n in range(1, 13):
        names = f"{n}. Nobody PQ, Someone R, Tester A{chr(64 + n)}:"
        entries += [
            (9, ((names, BOLD), (f"On the number of things. J Test 20{n:02}, 1:1-10.", ROMAN)))
        ]
    paper = read(
        front(heading("Abstract"), lines(ABSTRACT, 90, 9), section("Introduction")),
        [*section("Methods"), *section("Results"), *section("Discussion")],
        [*heading("References"), *entries],  # type: ignore[list-item]
        blind=True,
    )
    assert headings(paper, "body") == ["Introduction", "Methods", "Results", "Discussion"]
    assert headings(paper, "appendix") == []
    (found,) = [section for section in paper.sections if section.kind == "references"]
    assert "12. Nobody PQ" in found.text


def test_authors_between_title_and_abstract_go_without_the_word_abstract() -> None:
    """As physicists' journals print it: authors in the text's own face."""
    top: Column = [
        (14, ((TITLE, BOLD),)), SPACE,
        (10, (("Ada B. Doe, Bo Someone and C.D. Nobody", ROMAN),)),
        (9, (("Department of Examples, University of Somewhere", ITALIC),)),
        (9, (("(Dated: October 7, 2021)", ROMAN),)), SPACE,
        *lines(ABSTRACT, 80, 9), SPACE,
    ]  # fmt: skip
    paper = read([*top, *section("I. INTRODUCTION")], [*section("II. METHOD")], blind=True)
    assert paper.title == TITLE
    assert paper.abstract == ABSTRACT
    for name in ("Doe", "Nobody", "University", "Dated"):
        assert name not in whole(paper)
    assert times_said(paper) == 18


def test_a_heading_that_reads_like_a_name_is_none_beside_an_abstract_without_heading() -> None:
    """In two columns it stands on the first page, as authors do."""
    top: Column = [
        (14, ((TITLE, BOLD),)), SPACE,
        (10, (("Ada B. Doe and Bo Someone", ROMAN),)), SPACE,
        *lines(ABSTRACT, 50, 9), SPACE,
        (10, (("Keywords: papers, layouts", ROMAN),)), SPACE,
    ]  # fmt: skip
    left = [*top, *section("INTRODUCTION", 50, 9)]
    right = [*[SPACE] * 30, *section("SIGNAL MODELS", 50, 9), *section("RELATED WORK", 50, 9)]
    paper = read((left, right), (section("METHOD", 50, 9), section("RESULTS", 50, 9)), blind=True)
    assert headings(paper) == [
        "INTRODUCTION", "SIGNAL MODELS", "RELATED WORK", "METHOD", "RESULTS"
    ]  # fmt: skip
    assert "Keywords" not in whole(paper)


def test_a_title_behind_a_cover_sheet_is_no_running_head() -> None:
    cover: Column = [
        (12, (("Journal of Examples", BOLD),)), SPACE, (17, ((TITLE, BOLD),)), SPACE,
        (11, (("Jane Doe & John Someone", ROMAN),)), SPACE,
        *lines("To cite this article: Jane Doe & John Someone (2021): Layouts of Papers, Journal "
               "of Examples, DOI: 10.1000/123"),
    ]  # fmt: skip
    title, *rest = front(heading("Abstract"), lines(ABSTRACT), section("1 Introduction"))
    first = [title, *[SPACE] * 4, *rest]
    paper = read(cover, first, section("2 Method"), section("3 Results"), blind=True)
    assert (paper.title, paper.abstract) == (TITLE, ABSTRACT)
    assert "Doe" not in whole(paper)


def test_a_short_note_without_abstract_keeps_its_text_and_loses_its_authors() -> None:
    top: Column = [
        (14, ((TITLE, BOLD),)), SPACE,
        (10, (("Yu.A.Doe, L.Fernandes dos Santos and D.Nobody", ROMAN),)),
        (10, (("Institute of Examples, 13560 Somewhere, Brazil", "helv"),)), SPACE,
        *lines(SENTENCE * 8), SPACE, *lines(SENTENCE * 4),
    ]  # fmt: skip
    paper = read([*top, *references("References")], blind=True)
    assert "Fernandes" not in whole(paper)
    assert "Brazil" not in whole(paper)
    assert times_said(paper) == 12


def test_a_title_of_two_lines_that_read_like_names() -> None:
    top: Column = [
        (17, (("A Perspective on Explanations of", ROMAN),)),
        (17, (("Molecular Prediction Models", ROMAN),)), SPACE,
        (12, (("Jane Doe and John Someone", ROMAN),)), SPACE,
    ]  # fmt: skip
    paper = read([*top, *heading("Abstract"), *lines(ABSTRACT, 90, 9), *section("1 Introduction")])
    assert paper.title == "A Perspective on Explanations of Molecular Prediction Models"


def test_a_subtitle_in_a_smaller_size() -> None:
    top: Column = [
        (15, (("Layouts of Papers", BOLD),)), SPACE,
        (12, (("How fields set their papers and what", BOLD),)),
        (12, (("it costs to read them", BOLD),)), SPACE, SPACE,
        (9.5, (("Jane Doe, John Someone", BOLD),)), SPACE,
    ]  # fmt: skip
    paper = read([*top, *heading("Abstract"), *lines(ABSTRACT, 90, 9), *section("1 Introduction")])
    assert paper.title == (
        "Layouts of Papers: How fields set their papers and what it costs to read them"
    )


def test_a_title_page_of_its_own() -> None:
    title_page: Column = [
        (24, (("University of Somewhere", "helv"),)), SPACE, SPACE, SPACE,
        (20, ((TITLE, BOLD),)), SPACE, SPACE, SPACE,
        (20, (("Jane Quentin Doe", ROMAN),)), SPACE, SPACE,
        (14, (("Supervisor: John Someone", ROMAN),)),
    ]  # fmt: skip
    thanks = [*heading("Acknowledgements", 24), *lines("I thank my supervisor. " * 20)]
    abstract = [*heading("Abstract", 24), *lines(ABSTRACT)]
    paper = read(title_page, thanks, abstract, section("1 Introduction"), blind=True)
    assert paper.title == TITLE
    assert paper.abstract == ABSTRACT
    assert "Someone" not in whole(paper)


def test_a_banner_that_names_an_institute_is_no_address() -> None:
    top: Column = [
        (9, (("INSTITUTE OF IMAGINARY PUBLISHING", ROMAN),)),
        (9, (("J. Imag.: Condens. Tests 14 (2002) 101-109", ROMAN),)), SPACE,
        *front(heading("Abstract"), lines(ABSTRACT), section("1. Introduction")),
    ]  # fmt: skip
    assert read(top).title == TITLE


def test_a_licence_before_an_abstract_without_heading_is_not_of_it() -> None:
    top: Column = [
        (18, ((TITLE, BOLD),)), SPACE,
        (12, (("Jane Doe and John Someone", BOLD),)), SPACE,
        *lines("Copyright 2010 Jane Doe et al. An open access article distributed under the "
               "Creative Commons Attribution License, which permits unrestricted use.", 90, 9),
        SPACE, SPACE, *lines(ABSTRACT, 90, 9), SPACE,
    ]  # fmt: skip
    paper = read([*top, *section("1. Introduction")], section("2. Method"), blind=True)
    assert paper.abstract == ABSTRACT
    assert "licen" not in whole(paper).lower()


def test_a_line_whose_words_are_hidden_and_whose_superscript_is_not() -> None:
    """An author may do so on purpose; the rest of the paper is read."""
    content = (
        b"1 g BT /F1 11 Tf 72 300 Td (Nobody can see these words) Tj ET "
        b"0 g BT /F1 6 Tf 214 304 Td (2) Tj ET\n"
    )
    paper = extract_paper(page(content), ExtractOptions(max_pages=9))
    assert "Nobody can see" in paper.integrity.hidden_text[0].text
    assert "Whoever reads this far" in whole(paper)
