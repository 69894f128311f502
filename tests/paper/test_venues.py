"""Submitted or published, a paper reads the same once it is blinded."""

from __future__ import annotations

import pytest

from app.paper.model import Paper
from app.paper.pdf.extract import ExtractOptions, extract_paper
from tests import venues
from tests.venues import VENUES, Status, Venue


def read(venue: Venue, status: Status, *, blind: bool = True) -> Paper:
    return extract_paper(venues.typeset(venue, status), ExtractOptions(max_pages=9, blind=blind))


def text_of(paper: Paper) -> str:
    parts = [part for section in paper.sections for part in (section.heading, section.text)]
    return "\n".join([paper.title, paper.abstract, *parts])


@pytest.mark.parametrize("status", ["submission", "camera_ready"])
@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)
def test_nothing_tells_who_wrote_it_or_what_became_of_it(venue: Venue, status: Status) -> None:
    paper = read(venue, status)
    text = text_of(paper)
    assert [word for word in venues.IDENTITY if word in text] == []
    assert not any(line.strip().isdigit() for line in text.splitlines())
    assert paper.title == venues.TITLE
    assert paper.abstract.startswith(venues.ABSTRACT)
    assert [section.heading for section in paper.sections if section.kind == "body"] == [
        heading for heading, _ in venues.BODY
    ]
    for heading, sentence in venues.BODY:
        (section,) = [part for part in paper.sections if part.heading == heading]
        assert section.text.count(sentence.strip()) == 18
    assert [section.kind for section in paper.sections if section.kind != "body"] == [
        "references",
        "appendix",
    ]


@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)
def test_both_statuses_read_the_same(venue: Venue) -> None:
    assert text_of(read(venue, "submission")) == text_of(read(venue, "camera_ready"))


@pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)
def test_without_blinding_each_can_be_told(venue: Venue) -> None:
    assert any(name in text_of(read(venue, "camera_ready", blind=False)) for name in venues.AUTHORS)
    assert "Anonymous" in text_of(read(venue, "submission", blind=False))
    assert {"authors"} <= set(read(venue, "camera_ready").integrity.blinded)
    assert {"authors", "line_numbers"} <= set(read(venue, "submission").integrity.blinded)
    assert "venue_banner" in read(venue, "camera_ready").integrity.blinded
