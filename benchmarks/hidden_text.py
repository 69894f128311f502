"""Detection of hidden text: recall, false alarms and CPU time.

    python -m benchmarks.hidden_text [FOLDER]

Injects text with every technique of tests.hidden_techniques into papers of the folder (by default
the shared papers beside the checkout), at a random place on a random page. It counts as found if
every word of the hidden text is reported and no long word is left in the visible text. Then all
pages are inspected without changes, for false alarms and speed.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pymupdf

from app.paper.hidden.inspector import Inspector
from app.paper.pdf.lines import FLAGS
from benchmarks.report import Value, report
from tests.conftest import SHARED
from tests.hidden_techniques import PAYLOADS, TECHNIQUES, inject
from tests.paper.test_hidden import squeezed, visible_text

PAPERS_EACH = 12
LEAST_FOUND, MOST_FLAGGED, LEAST_RATE = 0.99, 0.02, 30


def found(file: Path, technique: str, generator: random.Random) -> bool:
    text = generator.choice(PAYLOADS)
    with pymupdf.open(file) as document:
        number = generator.randrange(document.page_count)
        inject(document[number], technique, text, generator)
        data = document.tobytes()
    with pymupdf.open(stream=data, filetype="pdf") as document:
        page = document[number]
        content = page.get_text("dict", flags=FLAGS)
        findings = Inspector(document).inspect(page, content)
    reported = squeezed("".join(finding.text for finding in findings.hidden))
    visible = squeezed(visible_text(content, findings))
    words = text.split()
    return all(word in reported for word in words) and squeezed(text)[:20] not in visible


def clean_pages(files: Sequence[Path]) -> tuple[int, list[str], float]:
    """The number of pages, the flagged ones (file, page, kinds), and the inspection's CPU time."""
    pages, flagged, spent = 0, [], 0.0
    for file in files:
        with pymupdf.open(file) as document:
            inspector = Inspector(document)
            for page in document:
                content = page.get_text("dict", flags=FLAGS)
                started = time.process_time()
                findings = inspector.inspect(page, content)
                spent += time.process_time() - started
                pages += 1
                if findings.hidden:
                    kinds = Counter(finding.kind for finding in findings.hidden)
                    flagged.append(f"{file.name} page {page.number + 1}: {dict(kinds)}")
    return pages, flagged, spent


def main() -> None:
    folder = Path(sys.argv[1]) if sys.argv[1:] else SHARED / "pdfs" / "papers"
    files = sorted(folder.glob("*.pdf"))
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    generator = random.Random(0)  # noqa: S311
    rows: list[dict[str, Value]] = []
    hits = tried = 0
    for technique in TECHNIQUES:
        chosen = generator.sample(files, min(PAPERS_EACH, len(files)))
        here = sum(found(file, technique, generator) for file in chosen)
        rows.append({"technique": technique, "found": here, "of": len(chosen)})
        hits, tried = hits + here, tried + len(chosen)
    pages, flagged, spent = clean_pages(files)
    print("Clean pages flagged:", *flagged, sep="\n  ")
    report(
        "hidden_text",
        f"{len(TECHNIQUES)} techniques into {PAPERS_EACH} of {len(files)} papers each",
        rows,
        found=round(hits / tried, 4),
        tried=tried,
        clean_pages=pages,
        clean_flagged=round(len(flagged) / pages, 4),
        pages_per_cpu_second=round(pages / spent, 1),
        passed=hits / tried >= LEAST_FOUND
        and len(flagged) / pages <= MOST_FLAGGED
        and pages / spent >= LEAST_RATE,
    )


if __name__ == "__main__":
    main()
