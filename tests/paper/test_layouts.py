"""Title, abstract and sections of papers set as fields, journals and styles set them."""

from __future__ import annotations

import pymupdf
import pytest

from app.paper.model import Paper
from app.paper.pdf.extract import ExtractOptions, extract_paper
from tests.sheets import (
    ABSTRACT,
    BOLD,
    ITALIC,
    ROMAN,
    SANS,
    SENTENCE,
    SPACE,
    TITLE,
    Row,
    front,
    heading,
    headings,
    lines,
    place,
    read,
    references,
    section,
    sheet,
)


def test_an_engineers_two_columns() -> None:
    """Run-in abstract, Roman numerals, letters for subsections."""
    abstract = lines(ABSTRACT, 45, 9, BOLD)
    abstract[0] = (9, (("Abstract", "tibi"), ("— " + abstract[0][1][0][0], BOLD)))
    left = [
        *front(abstract), SPACE, *lines("Index Terms—papers, layouts, fields.", 45, 9, BOLD),
        *section("I. INTRODUCTION", 45, 10, ROMAN), *section("II. LAYOUTS", 45, 10, ROMAN),
    ]  # fmt: skip
    right = [
        *section("A. Sheets", 45, 10, ITALIC), *section("B. Headings", 45, 10, ITALIC),
        *section("III. CONCLUSION", 45, 10, ROMAN),
    ]  # fmt: skip
    paper = read((left, right), (references("REFERENCES", 45), ()))
    assert paper.title == TITLE
    assert paper.abstract == ABSTRACT
    assert [(part.heading, part.level, part.kind) for part in paper.sections if part.heading] == [
        ("I. INTRODUCTION", 1, "body"), ("II. LAYOUTS", 1, "body"), ("A. Sheets", 2, "body"),
        ("B. Headings", 2, "body"), ("III. CONCLUSION", 1, "body"), ("REFERENCES", 1, "references"),
    ]  # fmt: skip


def test_a_journals_page_without_the_words_abstract_and_introduction() -> None:
    first = [*front(lines(ABSTRACT, 80, 10, BOLD)), SPACE, SPACE, *lines(SENTENCE * 8)]
    second = [*section("Results"), *section("Discussion"), *references("References")]
    paper = read(first, [*second, *section("Methods")])
    assert paper.title == TITLE
    assert paper.abstract == ABSTRACT
    assert headings(paper, "body") == ["Results", "Discussion", "Methods"]
    assert headings(paper, "references") == ["References"]


def test_a_manuscript_with_authors_in_capitals_and_a_small_abstract() -> None:
    authors = [
        (11.0, ((f"{name}, University of {place}, {country}", ROMAN),))
        for name, place, country in (
            ("JANE DOE", "Somewhere", "USA"), ("ANN EXAMPLE", "Elsewhere", "Norway"),
            ("KWAME OTHER", "Nowhere", "Ghana"), ("LI SAMPLE", "Anywhere", "China"),
            ("MARIA INSTANCE", "Anyplace", "Brazil"), ("OLE CASE", "Everywhere", "Denmark"),
        )
    ]  # fmt: skip
    concepts = lines("CCS Concepts: • Applied computing → Document analysis.", 110, 8)
    first = [
        (14, ((TITLE, BOLD),)), SPACE, *authors, SPACE, *lines(ABSTRACT, 110, 8), SPACE, *concepts,
        *section("1 INTRODUCTION", font=SANS, size=9), *section("2 METHOD", font=SANS, size=9),
    ]  # fmt: skip
    paper = read(first, [*section("3 CONCLUSION", font=SANS, size=9), *references("REFERENCES")])
    assert paper.abstract == ABSTRACT
    assert headings(paper, "body") == ["1 INTRODUCTION", "2 METHOD", "3 CONCLUSION"]
    blinded = extract_text(read(first, section("3 CONCLUSION", font=SANS, size=9), blind=True))
    assert "ANN EXAMPLE" not in blinded
    assert "Nowhere" not in blinded


def extract_text(paper: Paper) -> str:
    return "\n".join([paper.title, paper.abstract, *(part.text for part in paper.sections)])


@pytest.mark.parametrize("alone", [False, True], ids=["run-in", "alone"])
def test_an_abstract_in_parts(alone: bool) -> None:
    parts: list[tuple[float, Row]] = []
    for name in ("Background", "Methods", "Results", "Conclusions"):
        begins, *rest = lines(f"This says what the {name.lower()} are. " + SENTENCE * 2, 80, 9)
        if alone:
            parts += [SPACE, (9, ((name, BOLD),)), begins, *rest]
        else:
            parts += [(9, ((f"{name}:", BOLD), *begins[1])), *rest]
    first = front([(11, (("Abstract", BOLD),))], parts)
    paper = read(
        [*first, *section("1 Background"), *section("2 Methods")], references("References")
    )
    for name in ("background", "methods", "results", "conclusions"):
        assert f"what the {name} are" in paper.abstract
    assert headings(paper, "body") == ["1 Background", "2 Methods"]


def test_a_table_of_contents_is_no_text() -> None:
    entries = ("1 Introduction", "2 Layouts of all kinds", "3 Conclusion", "References")
    contents = [*heading("Contents")]
    for number, entry in enumerate(entries, 2):
        contents.append((10, ((f"{entry} {'. ' * 30}{number}", ROMAN),)))
    bodies = [
        *section("1 Introduction"),
        *section("2 Layouts of all kinds"),
        *section("3 Conclusion"),
    ]
    paper = read(
        front(heading("Abstract"), lines(ABSTRACT), contents), bodies, references("References")
    )
    assert paper.abstract == ABSTRACT
    assert headings(paper) == list(entries)
    assert paper.integrity.dropped["contents"] == 5


@pytest.mark.parametrize(
    "name",
    ["Literature Cited", "REFERENCES AND NOTES", "Bibliography", "5. References", "References:"],
)
def test_names_of_references(name: str) -> None:
    paper = read(
        front(heading("Abstract"), lines(ABSTRACT), section("Introduction")), references(name)
    )
    (found,) = [part for part in paper.sections if part.kind == "references"]
    assert found.text.count("Nobody") == 12


def test_appendices_and_what_only_looks_like_one() -> None:
    body = [
        *section("1 Introduction"), *section("2 Method"),
        # A caption or a list that reads like the beginning of appendices.
        *heading("A Document that holds nothing but symbols", 11),
        *section("2.1 Data"), *section("3 Conclusion"),
    ]  # fmt: skip
    sentence = lines(SENTENCE * 3 + "More of this, and all that is left out here, can be found in")
    back = [
        *references("References"),
        *section("A Proofs"),
        *section("A.1 More of them"),
        *section("B Data"),
    ]
    paper = read(
        front(heading("Abstract"), lines(ABSTRACT)),
        [*body, SPACE, *sentence, *lines("Appendix B."), *lines(SENTENCE * 2)],
        back,
    )
    assert headings(paper, "body") == ["1 Introduction", "2 Method", "2.1 Data", "3 Conclusion"]
    assert headings(paper, "appendix") == ["A Proofs", "A.1 More of them", "B Data"]


def test_a_sidebars_references_are_not_the_end_of_the_text() -> None:
    """As magazines print them: with a list of its own, before the text goes on."""
    box = [*heading("What Is a Layout?"), *lines(SENTENCE * 3), *references("References")]
    paper = read(
        front(heading("Abstract"), lines(ABSTRACT), section("Introduction")),
        box,
        [*section("How Papers Are Set"), *section("Conclusions"), *references("References")],
        section("Further Data"),
    )
    assert headings(paper, "body") == [
        "Introduction", "What Is a Layout?", "How Papers Are Set", "Conclusions"
    ]  # fmt: skip
    assert headings(paper, "appendix") == ["Further Data"]


def test_appendices_before_the_references() -> None:
    last = [*section("2 Conclusion"), *section("Appendix A Proofs"), *references("References")]
    paper = read(front(heading("Abstract"), lines(ABSTRACT), section("1 Introduction")), last)
    assert [(part.heading, part.kind) for part in paper.sections if part.heading][-2:] == [
        ("Appendix A Proofs", "appendix"),
        ("References", "references"),
    ]


def test_a_sections_number_on_top_of_a_page_is_no_pages_number() -> None:
    with pymupdf.open() as document:
        for number in range(1, 9):
            page = sheet(document, lines(SENTENCE * 6), top=90)
            place(page, 300, 770, [(str(number), ROMAN, 9)])
            if number in (2, 5, 7):
                place(page, 54, 70, [(f"{number // 2} ", BOLD, 12)])
                place(page, 78, 70, [(f"Kinds of {'ABC'[number // 2 - 1]}", BOLD, 12)])
        paper = extract_paper(document.tobytes(), ExtractOptions(max_pages=9))
    assert headings(paper) == ["1 Kinds of A", "2 Kinds of B", "3 Kinds of C"]
    assert paper.integrity.dropped == {"running_head": 8}


def test_a_heading_of_two_lines_of_which_one_is_a_usual_name() -> None:
    two = [
        SPACE,
        (12, (("3 Probing Objects One by One:", BOLD),)),
        (12, (("Evaluation", BOLD),)),
        SPACE,
    ]
    paper = read(
        front(heading("Abstract"), lines(ABSTRACT), section("1 Introduction"), section("2 Method")),
        [*two, *lines(SENTENCE * 5), *section("4 Conclusion"), *references("References")],
    )
    assert "3 Probing Objects One by One: Evaluation" in headings(paper)


def test_a_word_of_a_heading_in_another_face_is_of_it() -> None:
    mixed = [SPACE, SPACE, (10, (("2 Reading with", BOLD), ("ReadR-2", SANS))), SPACE]
    paper = read(
        front(heading("Abstract"), lines(ABSTRACT), section("1 Introduction", size=10)),
        [
            *mixed,
            *lines(SENTENCE * 5),
            *section("3 Conclusion", size=10),
            *references("References"),
        ],
    )
    assert "2 Reading with ReadR-2" in headings(paper)


def test_an_italic_heading_that_text_follows_on_its_line() -> None:
    first, *rest = lines(SENTENCE * 5, 60)
    run_in = [SPACE, (10, (("2.1 Why Retries Fail.", ITALIC), *first[1])), *rest]
    paper = read(
        front(heading("Abstract"), lines(ABSTRACT), section("1 Introduction"), section("2 Method")),
        [*run_in, *section("3 Conclusion"), *references("References")],
    )
    (found,) = [part for part in paper.sections if part.heading.startswith("2.1")]
    assert (found.heading, found.level) == ("2.1 Why Retries Fail", 2)
    assert found.text == " ".join((SENTENCE * 5).split())


def test_notes_below_an_abstract_in_its_own_size_are_not_of_it() -> None:
    notes = [
        SPACE,
        SPACE,
        *lines("* Part of the work was done while we were visiting Elsewhere. " * 2),
    ]
    paper = read(
        front(heading("ABSTRACT"), lines(ABSTRACT), [(10, row) for _, row in notes]),
        [*section("1. INTRODUCTION"), *section("2. METHOD"), *references("3. REFERENCES")],
    )
    assert paper.abstract == ABSTRACT


def test_the_journals_name_and_stamp_are_no_title() -> None:
    with pymupdf.open() as document:
        page = sheet(
            document,
            [(28, (("JSS Journal of Examples", ITALIC),)), SPACE, SPACE,
             *front(heading("Abstract"), lines(ABSTRACT), section("1. Introduction"))],
        )  # fmt: skip
        page.insert_text((30, 560), "arXiv:2401.01234v2 [cs.CL] 3 Jan 2024", fontsize=20, rotate=90)
        paper = extract_paper(document.tobytes(), ExtractOptions(max_pages=9))
    assert paper.title == TITLE
    assert paper.integrity.dropped == {"venue_banner": 1}
    assert "venue_banner" in paper.integrity.blinded


def test_a_title_in_small_capitals_with_umlauts() -> None:
    """TeX sets an umlaut as an accent and its letter, small capitals in two sizes."""
    title = [
        ("¨U", ROMAN, 17.0), ("BER ", ROMAN, 13.5), ("P", ROMAN, 17.0),
        ("APIERE DER GR¨OSSE ", ROMAN, 13.5), ("A", ROMAN, 17.0), ("CHT", ROMAN, 13.5),
    ]  # fmt: skip
    with pymupdf.open() as document:
        page = sheet(document, front(heading("Abstract"), lines(ABSTRACT))[2:], top=80)
        place(page, 54, 75, title)
        sheet(
            document, [*section("1 Einleitung"), *section("2 Verfahren"), *references("Literatur")]
        )
        paper = extract_paper(document.tobytes(), ExtractOptions(max_pages=9))
    assert paper.title == "ÜBER PAPIERE DER GRÖSSE ACHT"
    assert headings(paper, "references") == ["Literatur"]


@pytest.mark.parametrize("raised", [False, True])
def test_a_number_at_the_end_of_a_title_goes_where_it_is_raised(raised: bool) -> None:
    """A footnote's mark is; the "3" of a model's name is the title's own."""
    with pymupdf.open() as document:
        page = sheet(document, front(heading("Abstract"), lines(ABSTRACT))[2:], top=80)
        place(page, 54, 60, [("Finding Small Objects with YOLOv", BOLD, 17.0)])
        width = pymupdf.get_text_length("Finding Small Objects with YOLOv", BOLD, 17.0)
        place(page, 54 + width, 54 if raised else 60, [("3", BOLD, 8.0 if raised else 17.0)])
        sheet(document, [*section("1 Introduction"), *references("References")])
        paper = extract_paper(document.tobytes(), ExtractOptions(max_pages=9))
    assert paper.title == "Finding Small Objects with YOLOv" + ("" if raised else "3")


def test_comments_in_the_margins_and_a_stamp_stay_out() -> None:
    heights = range(150, 500, 37)
    with pymupdf.open() as document:
        for name in ("1 Introduction", "2 Methods"):
            page = sheet(document, [*front(lines(ABSTRACT)), *section(name), *section("3 More")])
            for y in heights:
                place(page, 8, y, [("AB: why?", ROMAN, 8)])
                place(page, 560, y, [("Rewrite this,", SANS, 7)])
                place(page, 560, y + 9, [("says CD.", SANS, 7)])
            page.insert_text((40, 700), "Draft of 1 January 2026", rotate=90)
        paper = extract_paper(document.tobytes(), ExtractOptions(max_pages=50))
    text = " ".join([paper.title, paper.abstract, *(part.text for part in paper.sections)])
    assert "1 Introduction" in headings(paper)
    for note in ("why?", "Rewrite", "says CD", "Draft"):
        assert note not in text
    assert paper.integrity.dropped["margin_note"] == 2 * 3 * len(heights)
    assert paper.integrity.dropped["rotated"] == 2
