"""What the stages' files hold, one row a line: stages meet only through these."""

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
    """A section as the source divides the paper."""

    heading: str
    text: str


class HumanReview(_Row, frozen=True):
    """A review that came with the paper. Numbers are on the source's own scales."""

    text: str
    meta: bool = False
    """Written by an area chair; it may tell the decision."""
    rating: float | None = None
    confidence: float | None = None
    scores: dict[str, float] = {}
    """Aspects by the source's names: clarity, impact, originality."""


class PaperRow(_Row, frozen=True):
    """A paper, not yet blinded, and what people thought of it."""

    id: str
    """`<source>/<venue>/<the source's own id>`."""
    source: Literal["peerread", "openreview", "jsonl", "papers"]
    venue: str
    split: str
    """The source's own (train, dev, test), or what the recipe's `collect.split` says."""
    title: str
    abstract: str
    sections: tuple[SectionRow, ...]
    decision: Decision | None
    """The venue's official one; None where it published none."""
    decision_source: str
    """Where that is written; why there is none, where there is none."""
    ratings: tuple[float, ...]
    """Of all reviews but meta-reviews that have one."""
    rating_scale: tuple[float, float]
    """The lowest and the highest rating that the venue's form allows."""
    reviews: tuple[HumanReview, ...] = ()
    columns: dict[str, str] = {}
    """What else the source says of it."""

    @property
    def mean_rating(self) -> float | None:
        return sum(self.ratings) / len(self.ratings) if self.ratings else None


class TaughtRow(_Row, frozen=True):
    """What the teacher answered for one paper. ``text`` is without its thinking."""

    paper: str
    prompt_sha256: str
    """Of the request: model, prompt and sampling."""
    teacher: str
    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    thinking_tokens: int


class ReviewRow(_Row, frozen=True):
    """A target to learn: the review ``text`` of the paper with the id ``paper``."""

    id: str
    paper: str
    source: Literal["teacher", "human", "decision"]
    text: str
    """The whole completion, its last line the verdict."""
    decision: Decision
    """What that line says."""
    official: Decision | None
    """What became of the paper."""


class ReviewedRow(_Row, frozen=True):
    """What a model said of one paper, beside what people did."""

    paper: str
    venue: str
    title: str
    official: Decision | None
    mean_rating: float | None
    model: str
    decision: Decision | None
    """None where the text states none and the model can't be asked."""
    decided_by: Literal["review_line", "probe"] | None
    """As the service's `verdict.source`."""
    probability: float | None
    """Of acceptance, as the model has it."""
    samples: tuple[float, ...]
    text: str
    """The review, whole; empty where only the verdict was read."""
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    truncated: int
    """Sections that the model has not seen whole."""
    seconds: float
    """From the paper's sending to its verdict, others being under way."""
    key: str
    """Of all that the review depends on: the paper's text, the model, and how it was asked."""


class Rejected(_Row, frozen=True):
    """What a stage left out, and why."""

    id: str
    paper: str
    source: str
    reason: str
    detail: str = ""
    text: str = ""


def load_papers(path: Path) -> dict[str, PaperRow]:
    """The papers of a file, by their ids, in its order.

    Raises:
        InputMissing, InputInvalid: see :func:`training.jsonl.read_rows`; or an id stands there
            twice.
    """
    papers: dict[str, PaperRow] = {}
    for number, row in enumerate(read_rows(path, PaperRow), 1):
        if row.id in papers:
            raise InputInvalid(f"{path}, line {number}: the id {row.id!r} for the second time")
        papers[row.id] = row
    return papers


def unblinded_paper(row: PaperRow) -> Paper:
    """The paper as it would be sent to the service, which blinds it."""
    return paper_from_sections(
        row.title, row.abstract, [(part.heading, part.text) for part in row.sections]
    )


def blinded_paper(row: PaperRow) -> Paper:
    """The paper as the service would see it, blinded.

    Raises:
        InputInvalid: it has no text.
    """
    blind = blind_paper(unblinded_paper(row))
    if not any(section.kind == "body" and section.paragraphs for section in blind.sections):
        raise InputInvalid(f"the paper {row.id} has no text")
    return blind


def title_key(title: str) -> str:
    """Equal for titles that differ in case, accents, punctuation or spaces only."""
    plain = unicodedata.normalize("NFKD", title).casefold()
    words = re.findall(r"[^\W_]+", "".join(c for c in plain if not unicodedata.combining(c)))
    return "".join(words)


def text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
