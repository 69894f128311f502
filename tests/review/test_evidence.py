"""Evidence: what the paper holds of a point, to the letter and to the line."""

from __future__ import annotations

import re
import timeit
from pathlib import Path

import pymupdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.paper.model import Paper, Paragraph, Section
from app.paper.pdf.extract import ExtractOptions, extract_paper
from app.review.evidence import EvidenceFinder, Passage, find_supports

TEXT = (
    "We propose TokenMeter, which counts tokens once. On WikiText it reaches 72.40 points. "
    "As Table 3 shows, the second pass costs 12.5% more memory. "
    "Smith et al. (2020) counted 1,024 tokens with GPT-4."
)
PAPER = Paper(
    "Counting Tokens",
    "We count tokens.",
    (
        Section("1 Introduction", (Paragraph("Gateways count the tokens of a prompt."),)),
        Section("2 Results", (Paragraph(TEXT), Paragraph("Table 3: Memory.", "caption"))),
        Section("References", (Paragraph("Jones and Lee. Sieving. 2019."),), "references"),
    ),
    pages=2,
)


@pytest.fixture(scope="module")
def finder() -> EvidenceFinder:
    return EvidenceFinder(PAPER)


@pytest.mark.parametrize(
    ("point", "unsupported"),
    [
        ("Table 3 and Table 9 disagree.", ("Table 9",)),
        ("It reaches 72.4 points, not 72.5.", ("72.5",)),
        ("Memory grows by 12.5 percent, not by 13.5%.", ("13.5%",)),
        ("1024 tokens are few; 2,048 would be more.", ("2,048",)),
        ("TokenMeter beats TokenSieve.", ("TokenSieve",)),
        ("GPT-4 is used, and GPT-5 is not.", ("GPT-5",)),
        ("Smith et al. (2020) is cited, Brown et al. (2021) is not.", ("Brown et al. (2021)",)),
        ("Jones and Lee (2019) is only in the references.", ()),
        ('It says "counts tokens once", not "counts tokens twice".', ("counts tokens twice",)),
        ("A SOTA LLM needs a GPU, as the NLP field knows.", ()),
        ("It is clear, and the method is simple.", ()),
        ("", ()),
    ],
)
def test_what_the_paper_does_not_hold_is_listed(
    finder: EvidenceFinder, point: str, unsupported: tuple[str, ...]
) -> None:
    assert finder.support(point).unsupported == unsupported


def test_the_passage_that_is_spoken_of_comes_first(finder: EvidenceFinder) -> None:
    (best, *_) = finder.support("The second pass takes 12.5% more memory (Table 3).").evidence
    assert "12.5% more memory" in best.quote
    assert (best.page, best.bbox) == (0, (0.0, 0.0, 0.0, 0.0))
    assert 0 < best.score <= 1


def test_nothing_is_better_than_anything(finder: EvidenceFinder) -> None:
    assert finder.support("Unrelated remarks on marine biology.").evidence == ()
    assert EvidenceFinder(Paper("T", "", ())).support("Table 1 is wrong.").evidence == ()


def test_references_are_no_evidence(finder: EvidenceFinder) -> None:
    quotes = [passage.quote for passage in finder.support("Jones and Lee: Sieving.").evidence]
    assert not any("Jones" in quote for quote in quotes)


def test_one_support_for_each_text_in_order() -> None:
    supports = find_supports(PAPER, ["Table 9.", "Table 3."])
    assert [support.unsupported for support in supports] == [("Table 9",), ()]


def squeezed(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())


def on_the_page(document: pymupdf.Document, passage: Passage) -> str:
    x0, y0, x1, y1 = passage.bbox
    box = (x0 - 2, y0 - 2, x1 + 2, y1 + 2)
    return squeezed(document[passage.page - 1].get_text(clip=box))


def test_quotes_stand_in_the_paper_and_on_its_page(shared_papers: Path) -> None:
    """By the real papers: verbatim in a paragraph, its words within the box on the page."""
    checked = found = 0
    for path in sorted(shared_papers.glob("*.pdf"))[:12]:
        paper = extract_paper(path.read_bytes(), ExtractOptions(max_pages=200))
        texts = [paper.abstract, *(p.text for s in paper.sections for p in s.paragraphs)]
        points = [sentence for sentence in re.split(r"(?<=[.]) ", paper.abstract) if sentence][:4]
        with pymupdf.open(path) as document:
            for support in find_supports(paper, points):
                for passage in support.evidence:
                    assert any(passage.quote in text for text in texts)
                    words = [squeezed(word) for word in passage.quote.split()]
                    there = on_the_page(document, passage)
                    held = sum(word in there for word in words)
                    checked += 1
                    # A ligature of an old font may be spelled in another way there.
                    found += held >= 0.9 * len(words)
    assert checked > 30
    assert found >= 0.95 * checked


@given(st.text(max_size=300), st.lists(st.text(max_size=200), max_size=4))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_text_is_too_odd(point: str, paragraphs: list[str]) -> None:
    paper = Paper("T", point, (Section("S", tuple(map(Paragraph, paragraphs))),))
    for support in find_supports(paper, [point, TEXT]):
        for passage in support.evidence:
            assert any(passage.quote in text for text in (point, *paragraphs))


@pytest.mark.parametrize("piece", ["Table ", "1,", "(Smith ", '"a ', "[1", "A-", "x", "9"])
def test_time_grows_with_the_text_and_no_faster(piece: str) -> None:
    def seconds(times: int) -> float:
        paper = Paper("T", "A", (Section("S", (Paragraph(piece * times),)),))
        return min(timeit.repeat(lambda: find_supports(paper, [TEXT]), number=1, repeat=3))

    # Four times the text; a quadratic search would take sixteen times as long.
    assert seconds(16_000) < 8 * seconds(4_000) + 0.05


def test_the_library_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    find_supports(PAPER, ["Table 3."])
    assert capfd.readouterr() == ("", "")
