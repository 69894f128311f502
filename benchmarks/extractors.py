"""Text extractors with a common interface, each timed in a separate process.

    python -m benchmarks.extractors NAME FOLDER    prints a JSON line for each paper, and totals

The packages of the other extractors are in requirements/benchmarks.txt.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymupdf


@dataclass(frozen=True, slots=True)
class Extraction:
    """A paper's text; title, abstract and so on are None if the extractor does not return them."""

    text: str
    title: str | None = None
    abstract: str | None = None
    references: bool | None = None


Extract = Callable[[Path], Extraction]


def _ours(*, detect_hidden: bool) -> Extract:
    from app.paper.pdf.extract import ExtractOptions, extract_paper

    options = ExtractOptions(max_pages=1000, blind=False, detect_hidden=detect_hidden)

    def extract(file: Path) -> Extraction:
        paper = extract_paper(file.read_bytes(), options)
        parts = [part for s in paper.sections for part in (s.heading, s.text)]
        return Extraction(
            "\n\n".join([paper.title, paper.abstract, *parts]),
            paper.title,
            paper.abstract,
            any(s.kind == "references" and len(s.text) > 500 for s in paper.sections),
        )

    return extract


def _pymupdf() -> Extract:
    def extract(file: Path) -> Extraction:
        with pymupdf.open(file) as document:
            return Extraction("\n".join(page.get_text() for page in document))

    return extract


def _pdftext() -> Extract:
    from pdftext.extraction import plain_text_output

    return lambda file: Extraction(plain_text_output(str(file)))


def _pypdf() -> Extract:
    from pypdf import PdfReader

    return lambda file: Extraction("\n".join(page.extract_text() for page in PdfReader(file).pages))


def _pdfminer() -> Extract:
    from pdfminer.high_level import extract_text

    return lambda file: Extraction(extract_text(str(file)))


def _pymupdf4llm() -> Extract:
    import pymupdf4llm

    return lambda file: Extraction(pymupdf4llm.to_markdown(str(file), show_progress=False))


EXTRACTORS: dict[str, Callable[[], Extract]] = {
    "ours": lambda: _ours(detect_hidden=False),
    "ours, hidden text too": lambda: _ours(detect_hidden=True),
    "PyMuPDF get_text": _pymupdf,
    "pdftext": _pdftext,
    "pypdf": _pypdf,
    "pdfminer.six": _pdfminer,
    "pymupdf4llm": _pymupdf4llm,
}


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    extract = EXTRACTORS[name]()
    spent = 0.0
    for file in sorted(folder.glob("*.pdf")):
        before = _cpu_s()
        found = extract(file)
        spent += _cpu_s() - before
        _tell(
            file=file.name,
            text=found.text,
            title=found.title,
            abstract=found.abstract,
            references=found.references,
        )
    _tell(cpu_s=spent, peak_mb=_peak_mb())


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mb() -> float:
    """From the kernel's status, as ru_maxrss counts the parent's memory too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _tell(**values: Any) -> None:
    print(json.dumps(values))


if __name__ == "__main__":
    main()
