"""Collects papers from PeerRead, OpenReview and files, and keeps the benchmark's papers apart.

python -m training.collect --recipe training/recipes/full.yaml
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.jsonl import write_rows
from training.manifest import write_atomically
from training.paper_splits import split_papers
from training.recipe import Recipe
from training.recipe_sources import (
    JsonlSource,
    OpenReviewSource,
    PapersSource,
    PeerReadSource,
    Source,
)
from training.rows import PaperRow, Rejected, title_key
from training.sources import Read, jsonl, openreview, papers, peerread
from training.sources.openreview_client import Client
from training.stage import Job, Stage, command

PAPERS, BENCHMARK, REJECTED, LEAKS = (
    "papers.jsonl",
    "benchmark.jsonl",
    "rejected.jsonl",
    "leaks.json",
)
CLONE, FETCHED, DOWNLOADS = "PeerRead", "openreview.jsonl", "openreview"


def inputs(recipe: Recipe) -> list[Path]:
    paths: list[Path] = []
    for source in (*recipe.collect.sources, *recipe.collect.benchmark):
        if isinstance(source, JsonlSource):
            paths.append(source.path)
        elif isinstance(source, PapersSource):
            paths += papers.files(source, recipe.run.seed)
        elif isinstance(source, PeerReadSource) and source.clone:
            paths += peerread.folders(source, source.clone)
    return paths


def main(job: Job) -> Mapping[str, Any]:
    options = job.recipe.collect
    benchmark = gather(_all(job, options.benchmark), excluded={})
    titles = {title_key(paper.title): paper.id for paper in benchmark.papers}
    training = gather(_all(job, options.sources), excluded=titles)
    parted = split_papers(training.papers, options.split, job.seed)
    training.papers = [paper for paper in parted if options.split is None or paper.split != "test"]
    benchmark.papers += [paper for paper in parted if options.split and paper.split == "test"]
    counts = {
        **{f"papers: {name}": n for name, n in sorted(_by_source(training.papers).items())},
        **{f"benchmark: {name}": n for name, n in sorted(_by_source(benchmark.papers).items())},
        **{f"left out: {name}": n for name, n in sorted(training.reasons().items())},
        **{f"left out of the benchmark: {n}": c for n, c in sorted(benchmark.reasons().items())},
        **_commits(job),
    }
    write_rows(job.folder / BENCHMARK, benchmark.papers)
    write_rows(job.folder / PAPERS, training.papers)
    write_rows(job.folder / REJECTED, [*benchmark.rejected, *training.rejected])
    _look_for_leaks(job, {"train": training.papers, "benchmark": benchmark.papers})
    job.show_counts("collect", counts)
    return counts


def _commits(job: Job) -> dict[str, str]:
    """The commits of the PeerRead clones."""
    found = {}
    for source in (*job.recipe.collect.sources, *job.recipe.collect.benchmark):
        if isinstance(source, PeerReadSource):
            clone = source.clone or job.folder / CLONE
            found[f"commit of {clone.name}"] = peerread.commit_of(source, clone) or "not a clone"
    return found


def _look_for_leaks(job: Job, splits: Mapping[str, Sequence[PaperRow]]) -> None:
    from training.leaks import leak_summary, leaks_of

    found = {}
    for name, rows in splits.items():
        found[name] = leaks_of(rows, job.seed)
        job.say(f"collect: {name}: {leak_summary(found[name])}")
    write_atomically(job.folder / LEAKS, json.dumps(found, indent=2, allow_nan=False) + "\n")


@dataclass
class Gathered:
    """Papers with distinct titles, and the papers that were left out."""

    papers: list[PaperRow] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def reasons(self) -> Counter[str]:
        return Counter(row.reason for row in self.rejected)


def gather(found: Iterator[Read], excluded: Mapping[str, str]) -> Gathered:
    """The papers whose normalised title is neither in ``excluded`` nor that of an earlier paper.

    ``excluded`` has the ids of papers by their normalised titles.
    """
    gathered = Gathered()
    seen: dict[str, str] = {}
    for row in found:
        if isinstance(row, Rejected):
            gathered.rejected.append(row)
            continue
        key = title_key(row.title)
        reason, other = "", ""
        if not key:
            reason = "no_title"
        elif key in excluded:
            reason, other = "in_benchmark", excluded[key]
        elif key in seen:
            reason, other = "duplicate_title", seen[key]
        if reason:
            detail = f"same title as {other}" if other else ""
            gathered.rejected.append(
                Rejected(id=row.id, paper=row.id, source=row.source, reason=reason, detail=detail)
            )
            continue
        seen[key] = row.id
        gathered.papers.append(row)
    return gathered


def _by_source(papers: Sequence[PaperRow]) -> Counter[str]:
    return Counter(f"{row.source}, {row.venue}, {row.decision or 'undecided'}" for row in papers)


def _all(job: Job, sources: Sequence[Source]) -> Iterator[Read]:
    for source in sources:
        if isinstance(source, OpenReviewSource):
            yield from asyncio.run(_from_openreview(job, source))
        elif isinstance(source, PapersSource):
            yield from asyncio.run(_from_files(job, source))
        elif isinstance(source, PeerReadSource):
            clone = source.clone or job.folder / CLONE
            if source.clone is None:
                job.say(f"collect: PeerRead in {clone}, cloned if necessary")
                peerread.clone_to(clone, source.commit)
            yield from job.track(peerread.papers(source, clone, job.seed), "PeerRead")
        else:
            yield from job.track(jsonl.papers(source, job.seed), source.path.name)


async def _from_files(job: Job, source: PapersSource) -> list[Read]:
    lines = papers.lines_of(source, job.seed)
    rows = []
    with job.progress(source.csv.name, len(lines)) as advance:
        async for row in papers.papers(source, lines):
            rows.append(row)
            advance()
    return rows


async def _from_openreview(job: Job, source: OpenReviewSource) -> list[Read]:
    fetched = job.folder / FETCHED
    client = await asyncio.to_thread(Client, source.url, job.folder / DOWNLOADS)
    notes = await openreview.listed(client, source, job.seed)
    rows = []
    with job.progress("OpenReview", len(notes)) as advance:
        async for row in openreview.papers(client, notes, fetched):
            rows.append(row)
            advance()
    return rows


STAGE = Stage(
    name="collect",
    sections=("collect",),
    inputs=inputs,
    outputs=lambda _: (PAPERS, BENCHMARK, REJECTED, LEAKS),
    main=main,
    keeps=(CLONE, DOWNLOADS),
)

if __name__ == "__main__":
    command(STAGE)
