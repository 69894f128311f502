"""Extraction and blinding of papers of many fields.

    python -m benchmarks.fields [FOLDER ...] [--details]

Each FOLDER contains PDFs and truth.jsonl (each line: file, title, beginning of the abstract,
surnames); by default the shared papers of machine learning and of other fields. Each paper is read
once, as in the service (with detection of hidden text), and blinded. Columns:

- titles: exact, ignoring case and spaces.
- abstracts: begin like the truth (similarity 0.95 of letters and digits), and are no longer than
  LONGEST_ABSTRACT; if the truth has none, only the length is checked.
- references: a section of more than 300 characters, without further headings in it. For papers in
  NO_REFERENCES, correct means that none are found.
- whole: at most 2 % of the pages' lines with at least 40 letters are missing from the paper's text,
  acknowledgements, checklist and front matter; lines after the first page that blinding removes are
  in acknowledgements or checklists, and it removes less than a quarter of the text.
- blind: no surname is left outside of citations and references, and no match of IDENTITY.
- flagged: pages with text that is reported as hidden; hardly any of the papers contains such text.
- crashes: papers that can't be read.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymupdf
from rapidfuzz.fuzz import ratio

from app.errors import PaperError
from app.paper.clean import clean
from app.paper.model import Paper
from app.paper.pdf.extract import ExtractOptions, extract_paper
from app.paper.screening.blinding import blind_paper
from benchmarks.reading_order import squeezed
from benchmarks.report import Value, report
from tests.conftest import SHARED

FIELDS = {"machine learning": "papers", "other": "journals"}
NO_REFERENCES = {"tree-flow-matc__arxiv_paper.pdf"}
LONGEST_ABSTRACT = 3500
_ALIKE = 95.0
_LONG_LINE = 40
_FURNITURE = 3
"""Times that a running head comes."""
_MOST_LOST, _MOST_BLINDED = 0.02, 0.25
IDENTITY = re.compile(
    r"[\w.-]+@[\w-]+\.\w|\b(acm reference format|how to cite|authors?[’'] addresses|"
    r"correspondence:|"
    r"corresponding author|accepted:|accepted for publication|"
    r"received:? \d{1,2} (jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|published: |"
    r"academic editor|published as a|under review as|proceedings of the \d|©\s?\d{4}|"
    r"(was|were|is|are) (partially |partly )?(supported|funded) by (the |a )?[^.]{0,80}"
    r"(grant|foundation|council|ministry|program)|we (thank\b|are grateful to|gratefully)|"
    r"the authors? (thank\b|would like to thank|acknowledge)|equal contributions?\b(?! from)|"
    r"contributed equally)",
    re.IGNORECASE,
)
_CITATION_AFTER = re.compile(
    r"(,? \d{4}[a-z]?\b|\s?\(|\s?\[|,? et al| and [A-Z]|, [A-Z]|\s?&|’s|'s|\d)"
)
_CITATION_BEFORE = re.compile(r"(\(|;|,|and|&|e\.g\.|see|by|of|[A-Z]\.) $")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The results for one paper, with details of errors."""

    title: bool
    abstract: bool
    references: bool
    whole: bool
    blind: bool
    flagged: int
    pages: int
    notes: tuple[str, ...]


def judge(paper: Paper, shown: Sequence[str], truth: Mapping[str, Any]) -> Verdict:
    """``paper`` as read, not blinded; ``shown`` the lines of its pages."""
    blind = blind_paper(paper)
    notes: list[str] = []
    title = squeezed(blind.title) == squeezed(truth["title"])
    if not title:
        notes.append(f"title {blind.title!r}, not {truth['title']!r}")
    begins = squeezed(truth["abstract"])
    head = squeezed(blind.abstract)[: len(begins)]
    abstract = len(blind.abstract) <= LONGEST_ABSTRACT and ratio(head, begins) >= _ALIKE
    if not begins:
        abstract = len(blind.abstract) <= LONGEST_ABSTRACT
    if not abstract:
        notes.append(f"abstract of {len(blind.abstract)} characters {blind.abstract[:80]!r}")
    lost = list(_lost(paper, shown))
    taken = list(_taken_from_body(paper))
    back = sum(len(s.text) for s in paper.sections if s.kind in ("acknowledgements", "checklist"))
    share = 1 - (_size(blind) + back) / max(1, _size(paper))
    whole = (
        len(lost) <= _MOST_LOST * len(shown) and not taken and share <= _MOST_BLINDED and abstract
    )
    if not whole:
        notes.append(
            f"lost {len(lost)} of {len(shown)}, blinded {share:.2f}: {[*taken, *lost][:6]}"
        )
    left = [*_names_left(blind, truth.get("surnames", ())), *_identity_left(blind)]
    notes += [f"left {text!r}" for text in left]
    references = _references_are_right(paper, str(truth["file"]))
    if not references:
        notes.append(f"references {[(s.heading, len(s.text)) for s in paper.sections][-6:]}")
    flagged = {finding.page for finding in paper.integrity.hidden_text}
    if flagged:
        notes.append(f"hidden on {sorted(flagged)}: {_findings(paper)[:6]}")
    return Verdict(
        title, abstract, references, whole, not left, len(flagged), paper.pages, tuple(notes)
    )


def _findings(paper: Paper) -> list[tuple[str, str]]:
    return [(finding.kind, finding.text[:40]) for finding in paper.integrity.hidden_text]


def _size(paper: Paper) -> int:
    sections = sum(len(section.text) for section in paper.sections)
    return len(paper.title) + len(paper.abstract) + sections


def _lost(paper: Paper, shown: Sequence[str]) -> Iterator[str]:
    """Lines that are in no part of the paper, read or blinded away."""
    parts = [part for section in paper.sections for part in (section.heading, section.text)]
    hidden = [finding.text for finding in paper.integrity.hidden_text]
    text = squeezed("".join([paper.title, paper.abstract, *parts, *hidden]))
    for line in shown:
        piece = squeezed(line)[3:28]
        if piece not in text:
            yield line


def _taken_from_body(paper: Paper) -> Iterator[str]:
    """What goes as authors although it stands on the second page of the text or later."""
    first = max((a.page for a in (*paper.title_anchors, *paper.abstract_anchors)), default=1)
    for section in paper.sections:
        if section.kind == "front_matter":
            for paragraph in section.paragraphs:
                if paragraph.anchors and paragraph.anchors[0].page > first + 1:
                    yield paragraph.text[:60]


def _names_left(paper: Paper, surnames: Sequence[str]) -> Iterator[str]:
    for text in _texts(paper):
        for name in surnames:
            for match in re.finditer(rf"\b{re.escape(name)}\b", text, re.IGNORECASE):
                after, before = text[match.end() :], text[: match.start()]
                if _CITATION_AFTER.match(after) or _CITATION_BEFORE.search(before[-6:]):
                    continue
                yield text[max(0, match.start() - 40) : match.end() + 30]


def _identity_left(paper: Paper) -> Iterator[str]:
    for text in _texts(paper):
        for match in IDENTITY.finditer(text):
            yield text[max(0, match.start() - 40) : match.end() + 40]


def _texts(paper: Paper) -> Iterator[str]:
    yield from (paper.title, paper.abstract)
    for section in paper.sections:
        if section.kind != "references":
            yield from (section.heading, *(paragraph.text for paragraph in section.paragraphs))


def _references_are_right(paper: Paper, file: str) -> bool:
    kinds = [section.kind for section in paper.sections]
    entries = re.compile(r"(\[?\d{1,3}[.\]]) .*\b[A-Z]{1,2}\b")
    split = [s.heading for s in paper.sections if s.kind == "appendix" and entries.match(s.heading)]
    long = any(len(s.text) > 300 for s in paper.sections if s.kind == "references")
    return (long and not split) if file not in NO_REFERENCES else "references" not in kinds


def shown_lines(file: Path) -> list[str]:
    """The lines of at least _LONG_LINE letters that are no running heads, as the file has them."""
    with pymupdf.open(file) as document:
        texts = [page.get_text() for page in document]
    lines = [clean(line) for text in texts for line in text.splitlines()]
    times = Counter(re.sub(r"\d", "", line) for line in lines)
    return [
        line
        for line in lines
        if sum(map(str.isalpha, line)) >= _LONG_LINE and times[re.sub(r"\d", "", line)] < _FURNITURE
    ]


def read_all(folder: Path) -> Iterator[tuple[str, Verdict | str]]:
    """Each paper's name, and the verdict on it or the error that there was."""
    for row in map(json.loads, (folder / "truth.jsonl").read_text("utf-8").splitlines()):
        file = folder / row["file"]
        try:
            paper = extract_paper(file.read_bytes(), ExtractOptions(max_pages=1000, blind=False))
        except (PaperError, ArithmeticError, LookupError, ValueError) as error:
            yield row["file"], repr(error)
            continue
        yield row["file"], judge(paper, shown_lines(file), row)


def table_row(name: str, verdicts: Sequence[Verdict | str]) -> dict[str, Value]:
    read = [verdict for verdict in verdicts if not isinstance(verdict, str)]
    row: dict[str, Value] = {"field": name, "papers": len(verdicts)}
    for column in ("title", "abstract", "references", "whole", "blind"):
        row[column] = sum(getattr(verdict, column) for verdict in read)
    row["flagged"] = f"{sum(v.flagged for v in read)} of {sum(v.pages for v in read)}"
    row["crashes"] = len(verdicts) - len(read)
    return row


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    folders = {Path(word).name: Path(word) for word in words} or {
        name: SHARED / "pdfs" / folder for name, folder in FIELDS.items()
    }
    table: list[dict[str, Value]] = []
    for name, folder in folders.items():
        verdicts = dict(read_all(folder))
        table.append(table_row(name, list(verdicts.values())))
        for file, verdict in verdicts.items():
            notes = (verdict,) if isinstance(verdict, str) else verdict.notes
            if notes and "--details" in sys.argv:
                print(file, *notes, sep="\n    ")
    report("fields", f"{sum(int(row['papers'] or 0) for row in table)} papers", table)


if __name__ == "__main__":
    main()
