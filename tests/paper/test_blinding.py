"""What tells who wrote a paper, or what became of it, goes; all else stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.paper.model import Anchor, Paper, Paragraph, ParagraphKind, Section
from app.paper.screening.blinding import blind_paper
from app.paper.screening.edits import edited
from app.paper.section_names import section_kind


def paper(*paragraphs: Paragraph, abstract: str = "We measure.", pages: int = 9) -> Paper:
    return Paper("A Title", abstract, (Section("1 Introduction", paragraphs, page=1),), pages)


def blinded(text: str, kind: ParagraphKind = "text") -> tuple[str, tuple[str, ...]]:
    """What is left of a paragraph, and the kinds of what was dropped."""
    after = blind_paper(paper(Paragraph(text, kind)))
    return after.sections[0].text, after.integrity.blinded


@pytest.mark.parametrize(
    ("text", "kind", "left", "kinds"),
    [
        ("Write to jane.doe@cs.example.edu for more.", "text", "Write to  for more.", "emails"),
        ("{ann, bob}@example.org wrote this.", "text", " wrote this.", "emails"),
        ("Proceedings of the 41st Conference on X, 2024.", "footnote", "", "venue_banner"),
        ("Published as a conference paper at ICLR 2025", "text", "", "venue_banner"),
        ("39th Conference on Neural Systems (NeurIPS 2025).", "footnote", "", "venue_banner"),
        ("∗Equal contribution.", "footnote", "", "author_notes"),
        ("1Correspondence to: Jane Doe.", "footnote", "", "author_notes"),
        ("†Work done during an internship at Acme.", "footnote", "", "author_notes"),
        ("It is fast. This work was supported by the NSF. It is small.", "text",
         "It is fast. It is small.", "funding"),
        ("See https://github.com/janedoe/thing for scripts.", "text",
         "See [link] for scripts.", "code_links"),
        ("We win. Our code is available at https://github.com/jane/x. We lose.", "text",
         "We win. We lose.", "code_links"),
        ("We win. Code will be released upon acceptance.", "text", "We win. ", "code_links"),
        ("Jane Doe 0000-0002-1825-0097 wrote.", "text", "Jane Doe  wrote.", "orcid"),
        ("We lose. We thank Dr. Jane Doe (University of X) for it.", "text", "We lose. ",
         "acknowledgements"),
        ("We are grateful to Prof. Doe. We thank the crew of the ship.", "text", "",
         "acknowledgements"),
        ("The authors would like to thank the Example collaboration for its help.", "text", "",
         "acknowledgements"),
        ("Jane Doe received the B.S. degree in examples from the University of X in 1999.", "text",
         "", "author_notes"),
        ("E. Doe was with the Department of Examples, University of X, in 1999", "text",
         "", "author_notes"),
        ("Received 9 November 2010; Accepted 25 December 2010", "text", "", "venue_banner"),
        ("Academic Editor: K. S. Someone", "text", "", "venue_banner"),
        ("How to cite this article: Doe J. 2018. On examples. Examples 6:e123", "text", "",
         "venue_banner"),
        ("Authors' addresses: Jane Doe, University of X, Town.", "footnote", "", "author_notes"),
        ("It holds. This research was financed by the Example Foundation, grant 12.", "text",
         "It holds. ", "funding"),
        ("We win. We will release our code and data. We lose.", "text", "We win. We lose.",
         "code_links"),
    ],
)  # fmt: skip
def test_goes(text: str, kind: ParagraphKind, left: str, kinds: str) -> None:
    assert blinded(text, kind) == (left, (kinds,))


@pytest.mark.parametrize(
    "text",
    [
        "We reach 39.6 % in Recall@20 and 41.2 % in Recall@50.",
        "The corresponding authors of prior work disagree, and their results were published later.",
        "We follow Smith et al. (2020), presented at the 37th conference of its kind.",
        "Lemma 1 and Lemma 2 hold; so do Lemma 3, Lemma 4 and Lemma 5.",
        "The university setting of our data matters, as the department sizes differ.",
        "The second claim is supported by the results in Table 2, and by those in Figure 3.",
        "We find that this view is supported by a range of tests and by national statistics.",
        "Every answer must be supported by the source document that the user has given.",
        "Our mechanism will release a noisy count, and the library will open-source models.",
        "The questionnaire received 2225 usable responses, and 439 did not meet our criteria.",
        "At the end an outro page was presented, where we thanked all of the participants.",
        "New Findings. Graph Networks is a method that was born in physics and then forgotten.",
        "We acknowledge that the sample is small, and that others may see other effects.",
    ],
)
def test_stays(text: str) -> None:
    assert blinded(text) == (text, ())


@pytest.mark.parametrize("kind", ["front_matter", "acknowledgements", "checklist"])
def test_whole_sections_go(kind: str) -> None:
    section = Section("Heading", (Paragraph("Jane Doe, University of Examples"),), kind)  # type: ignore[arg-type]
    after = blind_paper(Paper("T", "A", (section, Section("1 Introduction", ()))))
    assert [kept.heading for kept in after.sections] == ["1 Introduction"]
    assert {"front_matter": "authors"}.get(kind, kind) in after.integrity.blinded


def test_references_keep_their_names() -> None:
    entry = Paragraph("[1] Jane Doe. In Proceedings of the 3rd Conference on X, 2020.")
    after = blind_paper(Paper("T", "A", (Section("References", (entry,), "references"),)))
    assert after.sections[0].paragraphs == (entry,)


def test_authors_that_the_layout_tore_away_go() -> None:
    sections = (
        Section("1 Introduction", (Paragraph("It begins."),), page=1),
        Section("William Yeoh", (Paragraph("University of X wyeoh@x.edu"), Paragraph("It goes on."))
                , page=1),
    )  # fmt: skip
    after = blind_paper(Paper("T", "A", sections, 9))
    assert [(s.heading, s.text) for s in after.sections] == [
        ("1 Introduction", "It begins.\n\nIt goes on.")
    ]


def test_authors_are_not_named_further_on() -> None:
    sections = (
        Section("", (Paragraph("Zoe Q. Example, Bo Someone\nUniversity of X"),), "front_matter"),
        Section("2 Data", (Paragraph("Bo Someone labels all of it, as Example (2020) did."),)),
        Section("References", (Paragraph("[1] Bo Someone. A book. 2020."),), "references"),
    )  # fmt: skip
    after = blind_paper(Paper("T", "A", sections, 9))
    assert [section.text for section in after.sections] == [
        "[author] labels all of it, as Example (2020) did.",
        "[1] Bo Someone. A book. 2020.",
    ]
    assert after.integrity.blinded_characters == 44


def test_a_signature_at_a_letters_end_goes() -> None:
    text = "Whatever is said here is said by one who signs it below, and stays. " * 3
    signed = (
        Paragraph(text),
        Paragraph("Jane Q. Doe"),
        Paragraph("Department of X, Town, PA, USA"),
    )
    after = blind_paper(paper(*signed))
    assert after.sections[0].text == text


FRONT = (
    "Zoé Exemple† Bo Someoneson‡ †University of Somewhere ‡Institute of Examples "
    "(zoe.exemple|bsomeones)@cs.somewhere.edu"
)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("The Exemple set is small.", "The [author] set is small."),
        ("The Other-Exemple model wins.", "The Other-[author] model wins."),
        ("Bo Someoneson labels it, and Someoneson checks it.",
         "[author] labels it, and [author] checks it."),
        ("See http://www-db.somewhere.edu/db/members.html for it.", "See [link] for it."),
        ("The host is www-db.somewhere.edu.", "The host is [link]."),
        ("It follows Exemple et al. (2020) and (Someoneson and Doe, 2019).", None),
        ("It follows Exemple (2020), Exemple [3] and Exemple’s lemma.", None),
        ("The examples, which somewhere.org has, are from Hong Kong.", None),
    ],
)  # fmt: skip
def test_authors_that_an_address_confirms_are_not_named_further_on(
    text: str, left: str | None
) -> None:
    sections = (
        Section("", (Paragraph(FRONT), Paragraph("Hong Kong University")), "front_matter"),
        Section("2 Data", (Paragraph(text),)),
    )
    after = blind_paper(Paper("T", "A", sections, 9))
    assert [section.text for section in after.sections] == [left or text]


def test_what_people_share_is_no_authors() -> None:
    """A surname that is a word of the text, a name of the title, a host of everybody's mail."""
    front = Paragraph("Al Greenish and Jo Titleson\nalgreenish@gmail.com, titleson@gmail.com")
    text = "The greenish one, Greenish by name, is of Titleson: see https://mail.gmail.com/x."
    sections = (
        Section("", (front,), "front_matter"),
        Section("2 Data", (Paragraph(text),)),
    )
    after = blind_paper(Paper("Titleson Trees", "A", sections, 9))
    assert after.sections[0].text == text


def test_a_measure_at_a_threshold_is_no_address() -> None:
    text = "It reaches mAP@0.5 of 41.2, AP@0.75 of 30.1 and (top)@0.5 of 9."
    assert blinded(text) == (text, ())


def test_footnotes_that_cite_one_after_the_other_are_no_signature() -> None:
    notes = tuple(
        Paragraph(f"{number}A. Nobody, Phys. Rev. {number}, 101 (1961).", "footnote")
        for number in (1, 2, 3)
    )
    assert blind_paper(paper(*notes)).sections[0].paragraphs == notes


def test_nothing_is_left_of_a_section_without_heading_that_only_named_authors() -> None:
    sections = (
        Section("", (Paragraph("Write to jane.doe@example.edu", "footnote"),), page=1),
        Section("1 Introduction", (Paragraph("It begins."),), page=1),
    )
    after = blind_paper(Paper("T", "A", sections, 9))
    assert [section.heading for section in after.sections] == ["1 Introduction"]


def test_of_front_matter_that_is_most_of_the_paper_the_prose_stays() -> None:
    prose = "The reader took all of this for the authors' names, which it is not. " * 9
    front = (Paragraph("Jane Doe"), Paragraph(prose), Paragraph(prose))
    sections = (
        Section("", front, "front_matter", page=1),
        Section("5 Conclusion", (Paragraph("It ends."),)),
    )
    after = blind_paper(Paper("T", "A", sections, 9))
    assert after.sections[0].text.count("which it is not") == 18
    assert "Jane Doe" not in after.sections[0].text


@pytest.mark.parametrize("heading", ["Affiliations", "About the authors", "Publisher's Note"])
def test_what_publishers_put_behind_a_paper_goes(heading: str) -> None:
    section = Section(
        heading, (Paragraph("Jane Doe, University of X"),), section_kind(heading, "references")
    )
    after = blind_paper(Paper("T", "A", (Section("1 Introduction", ()), section)))
    assert [kept.heading for kept in after.sections] == ["1 Introduction"]


def test_line_numbers_between_the_words_of_a_text_go() -> None:
    line = "words that fill a line of a submission up to where its number stands"
    numbered = " ".join(f"{line} {number}" for number in range(31, 45))
    after = blind_paper(paper(Paragraph(numbered), pages=0))
    assert not any(char.isdigit() for char in after.sections[0].text)
    assert after.integrity.blinded == ("line_numbers",)


def test_counting_is_no_line_numbering() -> None:
    text = "We use 1 2 3 4 5 6 7 8 9 10 layers, and Tables 1, 2, 3, 4, 5, 6, 7, 8 and 9."
    assert blind_paper(paper(Paragraph(text), pages=0)).sections[0].text == text


def test_title_and_abstract_are_blinded_too() -> None:
    after = blind_paper(paper(abstract="We win. Code: https://github.com/jane/x. We lose."))
    assert "jane" not in after.abstract
    assert after.abstract.endswith("We lose.")


@given(st.text(), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_anchors_follow_their_text(text: str, pairs: list[tuple[int, int]]) -> None:
    third = max(1, len(text) // 3)
    anchors = tuple(
        Anchor(start, min(len(text), start + third), 1, (0.0, float(start), 1.0, 1.0))
        for start in range(0, len(text), third)
    )
    cuts = [(min(a, b), max(a, b), "") for a, b in pairs if max(a, b) <= len(text)]
    after = edited(Paragraph(text, anchors=anchors), cuts)
    kept = {int(anchor.bbox[1]): anchor for anchor in after.anchors}
    gone = {index for start, end, _ in cuts for index in range(start, end)}
    for before in anchors:
        left = "".join(
            text[index] for index in range(before.start, before.end) if index not in gone
        )
        anchor = kept.get(before.start)
        assert (after.text[anchor.start : anchor.end] if anchor else "") == left


@given(st.text(max_size=400), st.sampled_from(["text", "footnote", "caption"]))
def test_anything_can_be_blinded_and_twice_is_once(text: str, kind: ParagraphKind) -> None:
    once = blind_paper(paper(Paragraph(text, kind), abstract=text, pages=0))
    assert blind_paper(once).sections == once.sections
