"""Whatever the lines of a page look like, a paper comes of them, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.paper.clean import clean
from app.paper.model import Paper
from app.paper.pdf.columns import in_reading_order
from app.paper.pdf.furniture import drop_furniture
from app.paper.pdf.lines import Line, rows
from app.paper.pdf.structure import structure

TEXTS = st.one_of(
    st.sampled_from(
        [
            "Abstract", "1 Introduction", "2.1 Data", "IV. RESULTS", "A Proofs", "References",
            "Figure 1: A caption", "Table 2. Numbers", "1.0 2.0 3.0", "1 A note at the foot.",
            "NeurIPS Paper Checklist", "Acknowledgements", "[1] Jane Doe. A book. 2020.", "17",
            "Keywords: one, two", "• An item", "we measure the perfor-", "mance of the models,",
            "a sentence that goes on and on until it fills its line and then some more of it.",
        ]
    ),
    st.text(min_size=1, max_size=60).map(clean).filter(bool),
)  # fmt: skip


@st.composite
def drawn_lines(draw: st.DrawFn) -> Line:
    text = draw(TEXTS)
    x, y = draw(st.floats(0, 500)), draw(st.floats(0, 800))
    size = draw(st.sampled_from([6.0, 9.0, 10.0, 12.0, 17.0]))
    return Line(
        text=text,
        page=draw(st.integers(1, 3)),
        block=draw(st.integers(0, 3)),
        bbox=(x, y, x + 5 * len(text), y + size),
        size=size,
        font=draw(st.sampled_from(["Times", "Times-Bold", "CMMI10"])),
        bold=draw(st.booleans()),
        lead=draw(st.sampled_from([0, len(text), min(5, len(text))])),
        symbols=draw(st.sampled_from([0.0, 0.5, 1.0])),
        marks=draw(st.sampled_from([(), ("1",), ("∗",)])),
        direction=draw(st.sampled_from([(1.0, 0.0), (1.0, 0.0), (0.0, 1.0)])),
    )


LINES = st.lists(drawn_lines(), min_size=1, max_size=40).map(
    lambda lines: sorted(lines, key=lambda line: line.page)
)
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def letters(*texts: str) -> Counter[str]:
    return Counter("".join(texts).translate(dict.fromkeys(map(ord, " \n-\u2010\u00ad"))))


def all_text(paper: Paper) -> list[str]:
    sections = [part for s in paper.sections for part in (s.heading, s.text)]
    return [paper.title, paper.abstract, *sections]


@FUZZ
@given(LINES)
def test_every_letter_is_in_the_paper_once(lines: list[Line]) -> None:
    paper = structure(rows(in_reading_order(lines)))
    read = letters(*(line.text for line in lines))
    kept = letters(*all_text(paper))
    # The word "Abstract" before the abstract, the stop of a run-in and marks on the title go (a
    # number only where it is raised); a colon comes before a subtitle.
    raised = {mark for line in lines for mark in line.marks}
    lost = read - kept
    assert set(kept - read) <= {":"}
    assert set(lost) <= set("Abstract.:—–|∗*†‡§¶?!") | raised


@FUZZ
@given(LINES)
def test_anchors_cover_each_paragraph(lines: list[Line]) -> None:
    for section in structure(rows(in_reading_order(lines))).sections:
        for paragraph in section.paragraphs:
            spans = [(anchor.start, anchor.end) for anchor in paragraph.anchors]
            assert spans[0][0] == 0
            assert spans[-1][1] == len(paragraph.text)
            assert all(one[1] == other[0] for one, other in pairwise(spans))


@FUZZ
@given(LINES)
def test_furniture_and_columns_drop_and_order_but_never_add(lines: list[Line]) -> None:
    kept, dropped = drop_furniture(lines, dict.fromkeys((1, 2, 3), 842.0))
    assert len(kept) + dropped.total() == len(lines)
    ordered = in_reading_order(kept)
    assert Counter(line.text for line in ordered) == Counter(line.text for line in kept)
