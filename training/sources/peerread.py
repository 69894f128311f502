"""Reads papers from a clone of PeerRead (Kang et al. 2018; github.com/allenai/PeerRead).

``data/<venue>/<split>/reviews/<id>.json`` has title, abstract and reviews,
``parsed_pdfs/<id>.pdf.json`` the text as parsed by science-parse.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from app.review.decision import Decision
from training.errors import InputInvalid, InputMissing
from training.jsonl import lenient_json
from training.recipe_sources import PeerReadSource
from training.rows import HumanReview, PaperRow, Rejected, SectionRow
from training.sources import Read, random_sample

URL = "https://github.com/allenai/PeerRead"
_SCALES = {"iclr_2017": (1.0, 10.0)}
_SCALE = (1.0, 5.0)
_COMMITTEE = re.compile(r"ICLR committee final decision", re.IGNORECASE)
_NUMBERED_LINES = re.compile(r"(?:^|(?<=\n))(?:\d{1,4}(?: \d{3,4})?(?:\n|$)){3,}")
"""Candidates for line numbers that science-parse took for text, after the page's number."""
_LONG_COLUMN = 10
"""A column of at least this many consecutive four-digit numbers is not a table's years."""
_PAGE_NUMBER = re.compile(r"\n\d{1,2}$")


def folders(source: PeerReadSource, clone: Path) -> list[Path]:
    """The folders of a clone that are read."""
    return [
        clone / "data" / venue / split / part
        for venue in source.venues
        for split in source.splits
        for part in ("reviews", "parsed_pdfs")
    ]


def clone_to(folder: Path, commit: str | None = None) -> None:
    """Clone PeerRead without its history and PDFs, unless the folder exists.

    Raises:
        InputMissing: it can't be cloned; the message has git's last line.
    """
    if folder.is_dir():
        return
    scratch = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        _git("clone", "--quiet", "--depth=1", "--filter=blob:none", "--sparse", URL, str(scratch))
        patterns = ("/data/*/*/reviews/", "/data/*/*/parsed_pdfs/")
        _git("-C", str(scratch), "sparse-checkout", "set", "--no-cone", *patterns)
        if commit is not None:
            _git("-C", str(scratch), "fetch", "--quiet", "--depth=1", "origin", commit)
            _git("-C", str(scratch), "checkout", "--quiet", commit)
    except (OSError, subprocess.CalledProcessError) as error:
        errors = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise InputMissing(
            f"PeerRead can't be cloned from {URL} ({errors[-1] if errors else 'git failed'}): "
            "clone it elsewhere, and set the folder in the recipe as 'clone'"
        ) from error
    scratch.rename(folder)


def commit_of(source: PeerReadSource, clone: Path) -> str | None:
    """The commit of a clone; None if the folder is not a git repository.

    Raises:
        InputInvalid: the recipe names another commit.
    """
    try:
        # Without a .git folder, git would look for a repository in the parent folders.
        at = _git("-C", str(clone), "rev-parse", "HEAD") if (clone / ".git").exists() else None
    except (OSError, subprocess.CalledProcessError):
        at = None
    if source.commit is not None and at != source.commit:
        raise InputInvalid(f"{clone} is at commit {at}, and the recipe names {source.commit}")
    return at


def _git(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603
        ("git", *arguments),  # noqa: S607
        # Never prompt for a password.
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def papers(source: PeerReadSource, clone: Path, seed: int) -> Iterator[Read]:
    """The papers of the clone.

    Raises:
        InputMissing: ``clone`` has no such venue or split.
        InputInvalid: one of its files is not valid JSON.
    """
    places = [
        (venue, split, file)
        for venue in source.venues
        for split in source.splits
        for file in _review_files(clone, venue, split)
    ]
    for venue, split, file in random_sample(places, source.most, seed):
        yield _paper(venue, split, file)


def _review_files(clone: Path, venue: str, split: str) -> list[Path]:
    folder = clone / "data" / venue / split / "reviews"
    if not folder.is_dir():
        raise InputMissing(f"{folder} is missing: {clone} is not a clone of PeerRead")
    return sorted(folder.glob("*.json"), key=lambda file: (len(file.stem), file.stem))


def _paper(venue: str, split: str, file: Path) -> Read:
    paper_id = f"peerread/{venue}/{file.stem}"
    parsed_file = file.parents[1] / "parsed_pdfs" / f"{file.stem}.pdf.json"

    def rejected(reason: str) -> Rejected:
        return Rejected(id=paper_id, paper=paper_id, source="peerread", reason=reason)

    if not parsed_file.is_file():
        return rejected("no_parsed_pdf")
    listed, parsed = _json(file), _json(parsed_file).get("metadata") or {}
    sections = tuple(_sections(parsed))
    if not any(section.text.strip() for section in sections):
        return rejected("no_text")
    title = (listed.get("title") or parsed.get("title") or "").strip()
    if not title:
        return rejected("no_title")
    reviews = tuple(_reviews(listed))
    decision, decision_source = _decision(listed)
    return PaperRow(
        id=paper_id,
        source="peerread",
        venue=venue,
        split=split,
        title=title,
        abstract=(listed.get("abstract") or parsed.get("abstractText") or "").strip(),
        sections=sections,
        decision=decision,
        decision_source=decision_source,
        ratings=tuple(r.rating for r in reviews if not r.meta and r.rating is not None),
        rating_scale=_SCALES.get(venue, _SCALE),
        reviews=reviews,
    )


def _json(file: Path) -> dict[str, Any]:
    try:
        value = lenient_json(file.read_bytes())
    except msgspec.DecodeError as error:
        raise InputInvalid(f"{file}: {error}") from error
    if not isinstance(value, dict):
        raise InputInvalid(f"{file} does not contain a JSON object")
    return value


def _decision(listed: Mapping[str, Any]) -> tuple[Decision | None, str]:
    accepted = listed.get("accepted")
    if not isinstance(accepted, bool):
        return None, "PeerRead has none for this venue"
    return ("accept" if accepted else "reject"), "PeerRead's 'accepted'"


def _sections(parsed: Mapping[str, Any]) -> Iterator[SectionRow]:
    for part in parsed.get("sections") or ():
        heading = (part.get("heading") or "").strip()
        if heading.lower().strip(" .:") != "abstract":
            yield SectionRow(heading=heading, text=without_line_numbers(part.get("text") or ""))


def without_line_numbers(text: str) -> str:
    """The text without runs of line numbers. The text before and after a run is joined."""
    at, kept = 0, list[str]()
    for match in _NUMBERED_LINES.finditer(text):
        if _numbers_lines(match[0]):
            kept.append(text[at : match.start()])
            at = match.end()
    whole, *pieces = [*kept, text[at:]]
    for piece in pieces:
        whole = _PAGE_NUMBER.sub("", whole.rstrip())
        if not whole or not piece[:1].islower():
            joint = "\n" if whole else ""
        elif whole.endswith("-"):
            whole, joint = whole[:-1], ""
        else:
            joint = " "
        whole += joint + piece
    return whole


def _numbers_lines(column: str) -> bool:
    """Whether a column of numbers is line numbers: of three or more digits, mostly consecutive."""
    numbers = column.split()
    # The page's number may come before them.
    counted = [number for number in numbers if len(number) >= 3]
    if len(counted) < max(3, len(numbers) - 1):
        return False
    values = list(map(int, counted))
    steps = [after - before for before, after in pairwise(values)]
    rises = all(step > 0 for step in steps) and sum(step == 1 for step in steps) * 2 >= len(steps)
    return rises and (len(counted[0]) == 3 or len(counted) >= _LONG_COLUMN)


def _reviews(listed: Mapping[str, Any]) -> Iterator[HumanReview]:
    """The reviews without duplicates, and without comments, which have no recommendation."""
    seen: set[tuple[bool, str]] = set()
    for entry in listed.get("reviews") or ():
        rating, text = _number(entry.get("RECOMMENDATION")), entry.get("comments") or ""
        meta = bool(entry.get("IS_META_REVIEW") or entry.get("is_meta_review"))
        meta = meta or bool(_COMMITTEE.search(entry.get("TITLE") or ""))
        if (rating is None and not meta) or (text and (meta, text) in seen):
            continue
        seen.add((meta, text))
        aspects = {
            "clarity": entry.get("CLARITY"),
            "impact": entry.get("IMPACT"),
            "originality": entry.get("ORIGINALITY"),
            "soundness": entry.get("SOUNDNESS_CORRECTNESS"),
            "substance": entry.get("SUBSTANCE"),
        }
        numbers = {name: _number(value) for name, value in aspects.items()}
        yield HumanReview(
            text=text,
            meta=meta,
            rating=None if meta else rating,
            confidence=_number(entry.get("REVIEWER_CONFIDENCE")),
            scores={name: value for name, value in numbers.items() if value is not None},
        )


def _number(value: object) -> float | None:
    """A number; ICLR's files have numbers, those of ACL and CoNLL strings."""
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        return None
