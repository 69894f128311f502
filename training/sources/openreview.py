"""Reads the submissions to a venue on OpenReview (API 1), and their PDFs with the service's code.

The PDF is the last revision before the first review: the newest PDF of an accepted paper is its
camera-ready version, which shows that it was accepted. OpenReview requires a login
(``OPENREVIEW_USERNAME`` and ``OPENREVIEW_PASSWORD``).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from app.errors import PaperError
from app.paper.model import Paper
from app.paper.reader import PaperReader
from app.paper.sources import File
from app.review.decision import Decision
from app.settings import load_settings
from training.errors import InputMissing
from training.jsonl import Appender, drop_partial_line, read_rows
from training.recipe_sources import OpenReviewSource
from training.rows import HumanReview, PaperRow, Rejected, SectionRow
from training.sources import Read, random_sample
from training.sources.openreview_client import Client, NotAvailable

RATING_SCALE = (1.0, 10.0)
_KIND = re.compile(r"/(Official_Review|Meta_Review|Decision)$")
_LEADING_NUMBER = re.compile(r"\s*(-?\d+(?:\.\d+)?)")
_REVIEW_FIELDS = ("review", "main_review", "summary_of_the_paper")
_RATING_FIELDS = ("rating", "recommendation")
"""ICLR has a recommendation instead of a rating from 2022 on."""
_FAILED_IN_A_ROW = 5
"""After this many failed downloads in a row, the stage stops."""


Listed = tuple[str, Any]
"""A venue's id, and a submission's note."""


async def listed(client: Client, source: OpenReviewSource, seed: int) -> list[Listed]:
    """The submissions to read.

    Raises:
        InputMissing: OpenReview can't be reached, requires a login, or has no such venue.
    """
    found: list[Listed] = []
    for venue in source.venues:
        found += [(venue, note) for note in await asyncio.to_thread(client.submissions, venue)]
    return random_sample(found, source.most, seed)


async def papers(client: Client, notes: Sequence[Listed], cache: Path) -> AsyncIterator[Read]:
    """The submissions' papers. Papers that were read before are taken from ``cache``.

    A paper whose PDF can't be downloaded is a rejected row; the next run tries it again.

    Raises:
        InputMissing: several PDFs in a row can't be downloaded.
    """
    known = {row.id: row for row in _cached(cache)}
    failed = 0
    with Appender(cache) as appender:
        async with PaperReader(load_settings()) as reader:
            for venue, note in notes:
                row = known.get(_row_id(venue, note))
                if row is None:
                    try:
                        row = await _read(client, reader, venue, note)
                        failed = 0
                        appender.append(_kept(row))
                    except NotAvailable as error:
                        failed += 1
                        if failed == _FAILED_IN_A_ROW:
                            raise InputMissing(
                                f"{failed} PDFs in a row can't be downloaded, the last: {error}; "
                                "the others are kept: run the stage again to continue"
                            ) from error
                        row = _rejected(_row_id(venue, note), "pdf_unavailable", str(error))
                yield row


class _Cached(msgspec.Struct, frozen=True):
    paper: PaperRow | None = None
    rejected: Rejected | None = None


def _kept(row: Read) -> _Cached:
    return _Cached(paper=row) if isinstance(row, PaperRow) else _Cached(rejected=row)


def _cached(cache: Path) -> Iterator[Read]:
    if not cache.exists():
        return
    drop_partial_line(cache)
    for kept in read_rows(cache, _Cached):
        row = kept.paper or kept.rejected
        if row is not None:
            yield row


def _row_id(venue: str, note: Any) -> str:
    return f"openreview/{venue.replace('/', '-')}/{note.id}"


def _rejected(row_id: str, reason: str, detail: str) -> Rejected:
    return Rejected(id=row_id, paper=row_id, source="openreview", reason=reason, detail=detail)


async def _read(client: Client, reader: PaperReader, venue: str, note: Any) -> Read:
    row_id = _row_id(venue, note)
    revision = await asyncio.to_thread(client.submitted_revision, note, first_review(note))
    if revision is None:
        return _rejected(row_id, "no_submitted_pdf", "no revision before its reviews has a PDF")
    try:
        data = await asyncio.to_thread(client.pdf, revision)
        # Blinded here, where the pages are known: banners are found by their places on the page.
        paper = await reader.read(File(data, f"{note.id}.pdf"), blind=True)
    except PaperError as error:
        return _rejected(row_id, error.code, str(error))
    return _row(row_id, venue, note, paper)


def first_review(note: Any) -> int | None:
    """The time of the first review, in milliseconds since the epoch; None without reviews."""
    times = [
        reply.get("tcdate") or reply.get("cdate")
        for reply in note.details["directReplies"]
        if _kind(reply) == "Official_Review"
    ]
    return min((time for time in times if time), default=None)


def _row(row_id: str, venue: str, note: Any, paper: Paper) -> PaperRow:
    replies = note.details["directReplies"]
    reviews = tuple(_reviews(replies))
    decision, decision_source = _decision(replies)
    return PaperRow(
        id=row_id,
        source="openreview",
        venue=venue,
        split="",
        title=note.content["title"].strip(),
        abstract=(note.content.get("abstract") or "").strip(),
        sections=tuple(
            SectionRow(
                heading=section.heading,
                # One line for each paragraph.
                text="\n".join(" ".join(part.text.split()) for part in section.paragraphs),
            )
            for section in paper.sections
        ),
        decision=decision,
        decision_source=decision_source,
        ratings=tuple(r.rating for r in reviews if not r.meta and r.rating is not None),
        rating_scale=RATING_SCALE,
        reviews=reviews,
    )


def _kind(reply: Mapping[str, Any]) -> str:
    match = _KIND.search(reply.get("invitation") or "")
    return match[1] if match else ""


def _decision(replies: Sequence[Mapping[str, Any]]) -> tuple[Decision | None, str]:
    """The decision and where it is stated: in 2019 in the meta-review, later in a decision note."""
    for reply in replies:
        content = reply.get("content") or {}
        stated = str(content.get("decision") or content.get("recommendation") or "")
        if _kind(reply) not in ("Decision", "Meta_Review") or not stated:
            continue
        where = f"OpenReview: {reply['invitation']}"
        if stated.lower().startswith("accept"):
            return "accept", where
        if stated.lower().startswith("reject"):
            return "reject", where
    return None, "OpenReview has none for this paper"


def _reviews(replies: Sequence[Mapping[str, Any]]) -> Iterator[HumanReview]:
    for reply in replies:
        content, kind = reply.get("content") or {}, _kind(reply)
        if kind == "Official_Review":
            text = next((content[name] for name in _REVIEW_FIELDS if content.get(name)), "")
            rating = next((content[name] for name in _RATING_FIELDS if content.get(name)), None)
            yield HumanReview(
                text=text,
                rating=_number(rating),
                confidence=_number(content.get("confidence")),
            )
        elif kind:
            text = content.get("metareview") or content.get("comment") or ""
            yield HumanReview(text=text, meta=True)


def _number(value: object) -> float | None:
    """The number of a rating such as "6: Marginally above acceptance threshold"."""
    match = _LEADING_NUMBER.match(str(value or ""))
    return float(match[1]) if match else None
