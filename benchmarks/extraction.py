"""Quality and speed of extraction, compared with other extractors in the same run.

    .venv/bin/pip install --no-deps -r requirements/benchmarks.txt
    python -m benchmarks.extraction [FOLDER] [--only ours] [--details]

FOLDER contains PDFs and truth.jsonl (each line: file, title, abstract); by default the shared
papers beside the checkout. Every extractor runs in its own process, one after the other. Columns:

- titles: exact, ignoring case and spaces. For an extractor without titles, any of the first one to
  four lines with words may be the title.
- abstracts: similarity of at least 0.95, letters and digits only. For an extractor without
  abstracts: the text from a line that begins with "Abstract" to the heading of the introduction.
- references: a section of more than 500 characters; without sections, a line with such a heading.
  For papers in NO_REFERENCES, correct means that none are found.
- order: two-column pages whose running text is in order (see benchmarks.reading_order).
- hyphens: percentage of words divided at line ends that are written as elsewhere in the paper,
  joined or with a hyphen (see benchmarks.hyphens).
- heads: running heads (lines that most pages repeat in their margins) in the text, per page.
- control: control characters in all texts.
- pages/s: pages per second of CPU time, without imports; MB: peak memory of the process.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pymupdf
from rapidfuzz.fuzz import ratio

from benchmarks.extractors import EXTRACTORS
from benchmarks.hyphens import divided_words, judged
from benchmarks.reading_order import TwoColumnPage, in_order, squeezed, two_column_pages
from benchmarks.report import Value, report
from tests.conftest import SHARED

NO_REFERENCES = {"tree-flow-matc__arxiv_paper.pdf"}
_ALIKE = 95.0
_MOST_TITLE_LINES = 4
_INTRODUCTION = re.compile(
    r"^[#*\s]*((1|i)[.\s]+)?\W*introduction\W*$", re.IGNORECASE | re.MULTILINE
)
_ABSTRACT = re.compile(r"^[#*_\s]*abstract\b\W*", re.IGNORECASE | re.MULTILINE)
_REFERENCES = re.compile(r"^[#*\s\d.]*(references|bibliography)\W*$", re.IGNORECASE | re.MULTILINE)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")

Row = Mapping[str, Any]


def run(name: str, folder: Path) -> tuple[list[Row], Row]:
    """The results of an extractor for each paper, and its totals."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.extractors", name, folder],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return lines[:-1], lines[-1]


def _same(one: str, other: str) -> bool:
    return " ".join(one.casefold().split()) == " ".join(other.casefold().split())


def title_is_right(row: Row, truth: Row) -> bool:
    if row["title"] is not None:
        return _same(row["title"], truth["title"])
    lines = [line.strip("#*_ ") for line in row["text"].splitlines()]
    worded = [line for line in lines if sum(map(str.isalpha, line)) >= 5]
    heads = [" ".join(worded[:count]) for count in range(1, _MOST_TITLE_LINES + 1)]
    return any(_same(head, truth["title"]) for head in heads)


def abstract_is_right(row: Row, truth: Row) -> bool:
    abstract = row["abstract"]
    if abstract is None:
        begin = _ABSTRACT.search(row["text"])
        end = _INTRODUCTION.search(row["text"], begin.end()) if begin else None
        abstract = row["text"][begin.end() : end.start()] if begin and end else ""
    return bool(ratio(squeezed(abstract), squeezed(truth["abstract"])) >= _ALIKE)


def references_are_right(row: Row) -> bool:
    found = row["references"]
    if found is None:
        found = _REFERENCES.search(row["text"]) is not None
    return bool(found) == (row["file"] not in NO_REFERENCES)


def running_heads(file: Path) -> set[str]:
    """Lines in the top and bottom tenth that at least 60 % of the pages have, ignoring digits."""
    seen: Counter[str] = Counter()
    with pymupdf.open(file) as document:
        pages = document.page_count
        for page in document:
            height = page.rect.height
            margin = [
                b for b in page.get_text("blocks") if b[3] < 0.1 * height or b[1] > 0.9 * height
            ]
            seen.update({re.sub(r"\d+", "", block[4]).strip() for block in margin})
    return {squeezed(text) for text, times in seen.items() if times >= max(3, 0.6 * pages)} - {""}


def score(
    rows: Sequence[Row], truth: Mapping[str, Row], order: Sequence[TwoColumnPage], folder: Path
) -> dict[str, Value]:
    texts = {row["file"]: squeezed(row["text"]) for row in rows}
    verdicts = [in_order(page, texts[page.file]) for page in order]
    told = [verdict for verdict in verdicts if verdict is not None]
    left = sum(
        max(0, texts[row["file"]].count(head) - 1)
        for row in rows
        for head in running_heads(folder / row["file"])
    )
    pages = sum(_pages(folder / row["file"]) for row in rows)
    hyphens = [judged(divided_words(folder / row["file"]), row["text"]) for row in rows]
    right, asked = (sum(counts) for counts in zip(*hyphens, strict=True))
    return {
        "titles": sum(title_is_right(row, truth[row["file"]]) for row in rows),
        "abstracts": sum(abstract_is_right(row, truth[row["file"]]) for row in rows),
        "references": sum(references_are_right(row) for row in rows),
        "order": f"{sum(told)}/{len(told)}",
        "hyphens": f"{100 * right / max(1, asked):.1f} of {asked}",
        "heads": round(left / pages, 2),
        "control": sum(len(_CONTROL.findall(row["text"])) for row in rows),
    }


def _pages(file: Path) -> int:
    with pymupdf.open(file) as document:
        return int(document.page_count)


def details(rows: Sequence[Row], truth: Mapping[str, Row], order: Sequence[TwoColumnPage]) -> None:
    """Print the errors for each paper."""
    for row in rows:
        of = truth[row["file"]]
        if not title_is_right(row, of):
            print(f"{row['file']}: title {row['title']!r}, not {of['title']!r}")
        if not abstract_is_right(row, of):
            print(f"{row['file']}: abstract {str(row['abstract'])[:200]!r}")
        if not references_are_right(row):
            print(f"{row['file']}: references {row['references']}")
        text = squeezed(row["text"])
        wrong = [p for p in order if p.file == row["file"] and in_order(p, text) is False]
        for page in wrong:
            places = [(text.find(snippet), snippet) for snippet in page.snippets]
            print(f"{page.file} page {page.page}: order {places}")


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    only = "--only" in sys.argv
    folder = Path(words[0]) if words and words[0] != "ours" else SHARED / "pdfs" / "papers"
    lines = (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines()
    truth = {row["file"]: row for row in map(json.loads, lines)}
    order = list(two_column_pages(folder))
    table: list[dict[str, Value]] = []
    for name in EXTRACTORS:
        if only and not name.startswith("ours"):
            continue
        rows, totals = run(name, folder)
        pages = sum(_pages(folder / row["file"]) for row in rows)
        speed = {"pages/s": round(pages / totals["cpu_s"], 1), "MB": round(totals["peak_mb"])}
        table.append({"extractor": name, **score(rows, truth, order, folder), **speed})
        if "--details" in sys.argv:
            details(rows, truth, order)
    report("extraction", f"{len(truth)} papers, {len(order)} two-column pages", table)


if __name__ == "__main__":
    main()
