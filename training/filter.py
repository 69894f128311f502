"""Selects the reviews to train on and splits them by paper into train and validation.

python -m training.filter --recipe training/recipes/full.yaml
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.review.decision import Decision, verdict_lines
from app.review.parse import parse_review
from app.review.template import VERDICT_HEADING
from app.review.templates import published
from training.errors import InputInvalid
from training.human import Unusable, longest_first, target_of
from training.jsonl import read_rows, write_rows
from training.labels import verdict_line
from training.recipe import Filter, Recipe
from training.rows import (
    HumanReview,
    PaperRow,
    Rejected,
    ReviewRow,
    TaughtRow,
    blinded_paper,
    load_papers,
    text_sha256,
)
from training.stage import Job, Stage, command, stage_file

TRAIN, VAL, REJECTED = "train.jsonl", "val.jsonl", "rejected.jsonl"


def inputs(recipe: Recipe) -> list[Path]:
    papers = [stage_file(recipe, "collect", "papers.jsonl")]
    taught = [stage_file(recipe, "teach", "reviews.jsonl")]
    return papers + (taught if "teacher" in recipe.filter.targets else [])


def main(job: Job) -> Mapping[str, Any]:
    wanted = job.recipe.filter
    papers_file, *taught_file = inputs(job.recipe)
    papers = load_papers(papers_file)
    read: list[ReviewRow | Rejected] = []
    for file in taught_file:
        for taught in read_rows(file, TaughtRow):
            review = from_teacher(papers, taught, file)
            if isinstance(review, ReviewRow):
                review = short_enough(review, wanted.most_words)
            read.append(review)
    for paper in job.track(list(papers.values()), "papers"):
        if "human" in wanted.targets:
            read += from_people(paper, wanted)
        if "decision" in wanted.targets:
            read.append(from_decision(paper))
    found = [row for row in read if isinstance(row, ReviewRow)]
    kept, doubles = without_doubles(found)
    surplus: list[Rejected] = []
    if wanted.balance:
        kept, surplus = balanced(kept, job.seed)
    if wanted.val_fraction is None:
        train, val = marked(kept, papers)
    else:
        train, val = split(kept, wanted.val_fraction, job.seed)
    rejected = [*(row for row in read if isinstance(row, Rejected)), *doubles, *surplus]
    write_rows(job.folder / TRAIN, train)
    write_rows(job.folder / VAL, val)
    write_rows(job.folder / REJECTED, rejected)
    counts = _counts(read, rejected, {"train": train, "val": val})
    job.show_counts("filter", counts)
    return counts


def _counts(
    read: Sequence[ReviewRow | Rejected],
    rejected: Sequence[Rejected],
    splits: Mapping[str, Sequence[ReviewRow]],
) -> dict[str, int]:
    reasons = Counter(f"{row.source}, left out: {row.reason}" for row in rejected)
    counts = {f"{name}, read": n for name, n in Counter(row.source for row in read).items()}
    counts |= dict(sorted(reasons.items()))
    for name, rows in splits.items():
        counts |= {
            f"{name}: reviews": len(rows),
            f"{name}: papers": len({row.paper for row in rows}),
            **{f"{name}: {d}": sum(r.decision == d for r in rows) for d in ("accept", "reject")},
        }
    return counts


def from_teacher(
    papers: Mapping[str, PaperRow], row: TaughtRow, file: Path
) -> ReviewRow | Rejected:
    """The teacher's review as a target, or why it is not usable.

    Raises:
        InputInvalid: its paper was not collected.
    """
    if row.paper not in papers:
        raise InputInvalid(f"{file}: a review of {row.paper}, which was not collected")
    row_id = f"{row.paper}/teacher"
    stated = verdict_lines(row.text)
    reason = _fault(row, stated.decisions)
    if not reason and not _ends_in_verdict(row.text, stated.at or 0):
        reason = "verdict_not_last"
    if reason:
        return Rejected(
            id=row_id,
            paper=row.paper,
            source="teacher",
            reason=reason,
            detail=f"it ended with {row.finish_reason!r}",
            text=row.text,
        )
    (decision,) = stated.decisions
    # The verdict line is replaced by the exact one, without any Markdown around it.
    review = row.text[: stated.at].rstrip()
    return ReviewRow(
        id=row_id,
        paper=row.paper,
        source="teacher",
        text=f"{review}\n{verdict_line(decision)}",
        decision=decision,
        official=papers[row.paper].decision,
    )


def _fault(row: TaughtRow, decisions: frozenset[Decision]) -> str:
    if not row.text.strip():
        return "empty"
    if parse_review(row.text, published().sections).refused:
        return "refused"
    if not decisions:
        return "cut_off" if row.finish_reason in ("length", "max_tokens") else "no_decision"
    return "two_decisions" if len(decisions) > 1 else ""


def _ends_in_verdict(text: str, at: int) -> bool:
    """Whether the verdict line, which begins at ``at``, is the last one."""
    return not text[at:].partition("\n")[2].strip()


def from_people(paper: PaperRow, wanted: Filter) -> Iterator[ReviewRow | Rejected]:
    """The paper's human reviews as targets, longest first, or why one is not usable."""
    numbers = {id(review): number for number, review in enumerate(paper.reviews)}
    try:
        text = "\n".join(
            f"{section.heading}\n{section.text}" for section in blinded_paper(paper).sections
        )
    except InputInvalid as error:
        yield _unusable(paper, paper.id, "no_text", str(error))
        return
    taken = 0
    for review in longest_first(paper.reviews):
        row_id = f"{paper.id}/human/{numbers[id(review)]}"
        row = _from_person(paper, review, text, wanted, row_id)
        if isinstance(row, ReviewRow):
            taken += 1
            if wanted.reviews_per_paper is not None and taken > wanted.reviews_per_paper:
                row = _unusable(paper, row_id, "enough_of_this_paper", text=review.text)
        yield row


def _from_person(
    paper: PaperRow, review: HumanReview, text: str, wanted: Filter, row_id: str
) -> ReviewRow | Rejected:
    try:
        target = target_of(paper, review, text, wanted.least_words)
    except Unusable as unusable_reason:
        return _unusable(paper, row_id, unusable_reason.reason, unusable_reason.detail, review.text)
    # The service's parser must be able to read the target.
    decision = parse_review(target, published().sections).decision
    if decision is None or decision != paper.decision:
        return _unusable(paper, row_id, "two_decisions", text=review.text)
    row = ReviewRow(
        id=row_id,
        paper=paper.id,
        source="human",
        text=target,
        decision=decision,
        official=paper.decision,
    )
    return short_enough(row, wanted.most_words)


def from_decision(paper: PaperRow) -> ReviewRow | Rejected:
    """The verdict line alone as the target (the service's ``mode: verdict``)."""
    row_id = f"{paper.id}/decision"
    if paper.decision is None:
        return Rejected(id=row_id, paper=paper.id, source="decision", reason="no_official_decision")
    return ReviewRow(
        id=row_id,
        paper=paper.id,
        source="decision",
        text=f"## {VERDICT_HEADING}\n{verdict_line(paper.decision)}",
        decision=paper.decision,
        official=paper.decision,
    )


def _unusable(
    paper: PaperRow, row_id: str, reason: str, detail: str = "", text: str = ""
) -> Rejected:
    return Rejected(
        id=row_id, paper=paper.id, source="human", reason=reason, detail=detail, text=text
    )


def _dropped(row: ReviewRow, reason: str, detail: str = "") -> Rejected:
    return Rejected(
        id=row.id, paper=row.paper, source=row.source, reason=reason, detail=detail, text=row.text
    )


def without_doubles(rows: Sequence[ReviewRow]) -> tuple[list[ReviewRow], list[Rejected]]:
    """The first of the reviews with the same text; the others as rejected rows."""
    kept: dict[str, ReviewRow] = {}
    doubles: list[Rejected] = []
    for row in rows:
        # Targets that are a verdict line alone are the same for many papers.
        text = f"{row.paper}\n{row.text}" if row.source == "decision" else row.text
        first = kept.setdefault(text_sha256(text), row)
        if first is not row:
            doubles.append(_dropped(row, "duplicate_text", f"same as {first.id}"))
    return list(kept.values()), doubles


def short_enough(row: ReviewRow, most_words: int | None) -> ReviewRow | Rejected:
    """The review, or a rejected row if it has more words than ``most_words``."""
    words = len(row.text.split())
    if most_words is None or words <= most_words:
        return row
    return _dropped(row, "too_long", f"{words} words")


def balanced(rows: Sequence[ReviewRow], seed: int) -> tuple[list[ReviewRow], list[Rejected]]:
    """As many reviews of each decision, chosen at random and from as many papers as possible."""
    sides = {side: [row for row in rows if row.decision == side] for side in ("accept", "reject")}
    fewest = min(map(len, sides.values()))
    stay: set[str] = set()
    for side in sides.values():
        mixed = random.Random(seed).sample(side, len(side))  # noqa: S311
        of_paper: Counter[str] = Counter()
        ranked = []
        for row in mixed:
            ranked.append((of_paper[row.paper], row.id))
            of_paper[row.paper] += 1
        stay.update(name for _, name in sorted(ranked, key=lambda pair: pair[0])[:fewest])
    kept = [row for row in rows if row.id in stay]
    return kept, [_dropped(row, "surplus") for row in rows if row.id not in stay]


def split(
    rows: Sequence[ReviewRow], val_fraction: float, seed: int
) -> tuple[list[ReviewRow], list[ReviewRow]]:
    """A random split by paper, with the same share of each decision in train and validation.

    Raises:
        InputInvalid: one of them would be empty.
    """
    decisions: dict[str, Decision] = {}
    for row in rows:
        decisions.setdefault(row.paper, row.decision)
    val_papers = set(_mixed(decisions, seed)[: max(1, round(val_fraction * len(decisions)))])
    train = [row for row in rows if row.paper not in val_papers]
    val = [row for row in rows if row.paper in val_papers]
    for name, part in (("train", train), ("validation", val)):
        if not part:
            raise InputInvalid(
                f"the {name} split is empty: {len(rows)} reviews of {len(decisions)} papers, "
                f"filter.val_fraction {val_fraction:g}"
            )
    return train, val


def marked(
    rows: Sequence[ReviewRow], papers: Mapping[str, PaperRow]
) -> tuple[list[ReviewRow], list[ReviewRow]]:
    """The split that ``collect`` has given the papers.

    Raises:
        InputInvalid: one of them would be empty.
    """
    val_papers = {name for name, paper in papers.items() if paper.split in ("val", "dev")}
    train = [row for row in rows if row.paper not in val_papers]
    val = [row for row in rows if row.paper in val_papers]
    if not train or not val:
        raise InputInvalid(
            f"{len(train)} targets are in the train split and {len(val)} in val or dev, and one is "
            "empty: set collect.split or filter.val_fraction"
        )
    return train, val


def _mixed(decisions: Mapping[str, Decision], seed: int) -> list[str]:
    """The papers in random order, stratified: every prefix has about the same share of accepts."""
    places: list[tuple[float, str]] = []
    for side in ("accept", "reject"):
        papers = sorted(paper for paper, decision in decisions.items() if decision == side)
        mixed = random.Random(seed).sample(papers, len(papers))  # noqa: S311
        places += [((n + 0.5) / len(papers), paper) for n, paper in enumerate(mixed)]
    return [paper for _, paper in sorted(places)]


STAGE = Stage(
    name="filter",
    sections=("filter",),
    inputs=inputs,
    outputs=lambda _: (TRAIN, VAL, REJECTED),
    main=main,
)

if __name__ == "__main__":
    command(STAGE)
