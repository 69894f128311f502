"""Papers that were divided into headings and texts elsewhere."""

from __future__ import annotations

from app.paper.screening.blinding import blind_paper
from app.paper.text import paper_from_sections


def test_headings_are_as_deep_as_their_numbers_and_tell_kinds() -> None:
    paper = paper_from_sections(
        "A title",
        "An abstract.",
        [("1 Introduction", "One.\nTwo."), ("1.1 Aims", "Three."), ("References", "[1] A. Body")],
    )
    assert [(s.heading, s.level, s.kind) for s in paper.sections] == [
        ("1 Introduction", 1, "body"),
        ("1.1 Aims", 2, "body"),
        ("References", 1, "references"),
    ]
    assert [p.text for p in paper.sections[0].paragraphs] == ["One.", "Two."]


def test_what_stands_before_all_headings_is_front_matter_and_goes() -> None:
    sections = [("", "Ann Author, University of X\nann@x.edu"), ("1 Introduction", "We do it.")]
    blind = blind_paper(paper_from_sections("T", "A", sections))
    assert [section.heading for section in blind.sections] == ["1 Introduction"]
    assert "authors" in blind.integrity.blinded


def test_without_any_heading_all_is_body() -> None:
    paper = paper_from_sections("T", "A", [("", "First."), ("", "Second.")])
    assert [section.kind for section in paper.sections] == ["body", "body"]


def test_line_numbers_of_a_draft_go() -> None:
    numbers = "\n".join(f"{number:03}" for number in range(50))
    text = f"{numbers}\nThe method finds words that name a time, and tells which."
    blind = blind_paper(paper_from_sections("T", "A", [("1 Introduction", text)]))
    assert [p.text for p in blind.sections[0].paragraphs] == [
        "The method finds words that name a time, and tells which."
    ]
    assert "line_numbers" in blind.integrity.blinded
