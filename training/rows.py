"""The rows of the JSON Lines files that the stages exchange."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path
from typing import Literal

import msgspec

from app.paper.model import Paper
from app.paper.screening.blinding import blind_paper
from app.paper.text import paper_from_sections
from app.review.decision import Decision
from training.errors import InputInvalid
from training.jsonl import read_rows


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class SectionRow(_Row, frozen=True):
    """A section of a paper, as the source divides it."""

    heading: str
    text: str


class HumanReview(_Row, frozen=True):
    """A human review of the paper. Ratings are on the source's own scales."""

    text: str
    meta: bool = False
    """Whether it is a meta-review by an area chair, which may state the decision."""
    rating: float | None = None
    confidence: float | None = None
    scores: dict[str, float] = {}
    """Ratings of aspects, by the source's names: clarity, impact, originality."""


class PaperRow(_Row, frozen=True):
    """A paper before blinding, with its human reviews."""

    id: str
    """`<source>/<venue>/<id in the source>`."""
    source: Literal["peerread", "openreview", "jsonl", "papers"]
    venue: str
    split: str
    """The source's split (train, dev, test), or that of the recipe's `collect.split`."""
    title: str
    abstract: str
    sections: tuple[SectionRow, ...]
    decision: Decision | None
    """The venue's official decision; None if it is not public."""
    decision_source: str
    """Where the decision is stated, or why there is none."""
    ratings: tuple[float, ...]
    """The ratings of all reviews except meta-reviews."""
    rating_scale: tuple[float, float]
    """The lowest and the highest possible rating of the venue."""
    reviews: tuple[HumanReview, ...] = ()
    columns: dict[str, str] = {}
    """Other columns of the source."""

    @property
    def mean_rating(self) -> float | None:
        return sum(self.ratings) / len(self.ratings) if self.ratings else None


class TaughtRow(_Row, frozen=True):
    """The teacher's answer for one paper. ``text`` does not contain its thinking."""

    paper: str
    prompt_sha256: str
    """Hash of the request: model, prompt and sampling parameters."""
    teacher: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    thinking_tokens: int


class ReviewRow(_Row, frozen=True):
    """A training target: the review ``text`` of the paper with the id ``paper``."""

    id: str
    paper: str
    source: Literal["teacher", "human", "decision"]
    text: str
    """The whole completion; its last line is the verdict."""
    decision: Decision
    """The decision in the verdict line."""
    official: Decision | None
    """The venue's decision."""


class ReviewedRow(_Row, frozen=True):
    """A model's review of one paper, with the paper's official decision and ratings."""

    paper: str
    venue: str
    title: str
    official: Decision | None
    mean_rating: float | None
    model: str
    decision: Decision | None
    """None if the review states no decision and there is no probability."""
    decided_by: Literal["review_line", "probe"] | None
    """The service's `verdict.source`."""
    probability: float | None
    """The model's probability of acceptance, not calibrated."""
    samples: tuple[float, ...]
    text: str
    """The whole review; empty in mode `verdict`."""
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    truncated: int
    """Number of sections that were cut to fit the prompt."""
    seconds: float
    """Time from the request to the verdict, with other papers in progress."""
    key: str
    """Hash of everything that the review depends on: the paper's text, the model, the settings."""


class Rejected(_Row, frozen=True):
    """A row that a stage left out, with the reason."""

    id: str
    paper: str
    source: str
    reason: str
    detail: str = ""
    text: str = ""


def load_papers(path: Path) -> dict[str, PaperRow]:
    """The papers of a file by their ids, in the order of the file.

    Raises:
        InputMissing: there is no such file.
        InputInvalid: a line is not a paper, or an id occurs twice.
    """
    papers: dict[str, PaperRow] = {}
    for number, row in enumerate(read_rows(path, PaperRow), 1):
        if row.id in papers:
            raise InputInvalid(f"{path}, line {number}: duplicate id {row.id!r}")
        papers[row.id] = row
    return papers


def unblinded_paper(row: PaperRow) -> Paper:
    """The paper as a client would send it to the service, which blinds it."""
    return paper_from_sections(
        row.title, row.abstract, [(part.heading, part.text) for part in row.sections]
    )


def blinded_paper(row: PaperRow) -> Paper:
    """The paper, blinded as in the service.

    Raises:
        InputInvalid: it has no text.
    """
    blind = blind_paper(unblinded_paper(row))
    if not any(section.kind == "body" and section.paragraphs for section in blind.sections):
        raise InputInvalid(f"the paper {row.id} has no text")
    return blind


def title_key(title: str) -> str:
    """A key that is equal for titles that differ only in case, accents, punctuation or spaces."""
    plain = unicodedata.normalize("NFKD", title).casefold()
    words = re.findall(r"[^\W_]+", "".join(c for c in plain if not unicodedata.combining(c)))
    return "".join(words)


def text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
