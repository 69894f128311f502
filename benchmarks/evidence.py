"""Whether evidence for true points is found, and invented claims are recognised.

    python -m benchmarks.evidence [FOLDER]

FOLDER contains the ten papers that benchmarks/data/evidence.jsonl names by file and SHA-256; by
default the shared papers beside the checkout. For each paper, five points are true and have the
numbers of the right pages; five are invented and have the items that the paper does not contain.
All were written by hand before the code was tuned, on the papers of the split "tuning".

- page@1, page@3: true points whose first passage, or one of the first three, is on a right page.
  The baseline ranks whole pages with BM25.
- invented: items in the invented points that are listed as unsupported.
- false alarms: true points with an item that is listed as unsupported.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bm25s

from app.paper.model import Paper
from app.paper.pdf.extract import ExtractOptions, extract_paper
from app.review.evidence import EvidenceFinder
from benchmarks.report import Value, report
from tests.conftest import SHARED

POINTS = Path(__file__).parent / "data" / "evidence.jsonl"


@dataclass
class Tally:
    """The results for the points of one split."""

    true: int = 0
    first: int = 0
    among_three: int = 0
    rival_first: int = 0
    items: int = 0
    flagged: int = 0
    alarms: int = 0
    index_s: list[float] = field(default_factory=list)
    point_s: list[float] = field(default_factory=list)

    def row(self, split: str) -> dict[str, Value]:
        return {
            "split": split,
            "true points": self.true,
            "page@1 %": round(100 * self.first / self.true, 1),
            "page@3 %": round(100 * self.among_three / self.true, 1),
            "rival's page@1 %": round(100 * self.rival_first / self.true, 1),
            "invented items": self.items,
            "invented flagged %": round(100 * self.flagged / self.items, 1),
            "false alarms %": round(100 * self.alarms / self.true, 1),
            "index ms": round(1000 * max(self.index_s)),
            "ms a point": round(1000 * sum(self.point_s) / len(self.point_s), 1),
        }


class PageRanker:
    """The baseline: BM25 over whole pages."""

    def __init__(self, paper: Paper) -> None:
        pages: dict[int, list[str]] = {}
        for section in paper.sections:
            for paragraph in section.paragraphs:
                for anchor in paragraph.anchors:
                    text = paragraph.text[anchor.start : anchor.end]
                    pages.setdefault(anchor.page, []).extend(_words(text))
        self._pages = list(pages)
        self._bm25 = bm25s.BM25()
        self._bm25.index(list(pages.values()), show_progress=False)

    def best(self, text: str) -> int:
        return self._pages[int(self._bm25.get_scores(_words(text)).argmax())]


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def measure(row: Mapping[str, Any], paper: Paper, tally: Tally) -> None:
    began = time.perf_counter()
    finder = EvidenceFinder(paper)
    tally.index_s.append(time.perf_counter() - began)
    rival = PageRanker(paper)
    for point in row["true"]:
        began = time.perf_counter()
        support = finder.support(point["text"])
        tally.point_s.append(time.perf_counter() - began)
        right = [passage.page in point["pages"] for passage in support.evidence]
        tally.true += 1
        tally.first += right[:1] == [True]
        tally.among_three += any(right)
        tally.rival_first += rival.best(point["text"]) in point["pages"]
        tally.alarms += bool(support.unsupported)
        if "--details" in sys.argv and (right[:1] != [True] or support.unsupported):
            found = [passage.page for passage in support.evidence]
            print(row["file"], point["pages"], found, support.unsupported, point["text"])
    for point in row["invented"]:
        unsupported = finder.support(point["text"]).unsupported
        missed = [item for item in point["unsupported"] if item not in unsupported]
        tally.items += len(point["unsupported"])
        tally.flagged += len(point["unsupported"]) - len(missed)
        if "--details" in sys.argv and missed:
            print(row["file"], "missed", missed, "in", unsupported)


def read(path: Path, sha256: str) -> Paper:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise SystemExit(f"{path} is another file than the one that the points speak of")
    return extract_paper(data, ExtractOptions(max_pages=200))


def main(words: Sequence[str]) -> None:
    folders = [Path(word) for word in words if not word.startswith("--")]
    folder = folders[0] if folders else SHARED / "pdfs" / "papers"
    tallies: dict[str, Tally] = {}
    for line in POINTS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        paper = read(folder / row["file"], row["sha256"])
        measure(row, paper, tallies.setdefault(row["split"], Tally()))
    rows = [tally.row(split) for split, tally in sorted(tallies.items())]
    report("evidence", "ten papers, points written by hand", rows)


if __name__ == "__main__":
    main(sys.argv[1:])
