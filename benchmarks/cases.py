"""Extraction of forty small made-up papers, each with one difficulty.

    python -m benchmarks.cases [FOLDER] [--details]

FOLDER contains the files and manifest.json (file, expected: one sentence for each file); by default
the shared cases beside the checkout. One row for each case; exit status 1 if one fails.

Nearly all of their text consists of sentences of one form (SENTENCE), so that text shows that is
lost, read twice, or interrupted by a running head or a footnote: ``abstract`` and ``body`` are
numbers of sentences, and ``rest`` is all other text of the body. Names, addresses and e-mails are
those of IDENTITY in all files: none may be left after blinding, except in the references.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.errors import PaperError
from app.paper.model import Paper
from app.paper.pdf.extract import ExtractOptions
from app.paper.pdf.ocr import tessdata
from app.paper.reading import read_file
from benchmarks.report import Value, report
from tests.conftest import SHARED

SENTENCE = re.compile(r"The \w+ of each \w+ \w+ the \w+ when the \w+ is small\.")
IDENTITY = re.compile(
    r"alma|testerson|bruno|proband|carla|university of|institute of|utopia|nowhere\.edu|"
    r"张三|李四|虚构大学|acm reference|addresses:|contributed|how to cite|collaboration|\[author\]",
    re.IGNORECASE,
)
TITLE = "Small Signals in Layered Networks"
FIVE = ("Introduction", "Related Work", "Method", "Experiments", "Conclusion")
NUMBERED = tuple(f"{number} {name}" for number, name in enumerate(FIVE, 1))
IMRAD = ("Introduction", "Methods", "Results", "Discussion", "Conclusion")
_SCANNED = 1.6
"""Least part of a paper's read text that it has with its scanned pages."""
CITED = "As shown before12, the rate3,4 is 10^5 cells and 10^−3 m; see Nobody7."
EXPERIMENTS = " ".join(
    f"In Experiment {number} we vary the rate of the network and measure the error of each group."
    for number in range(1, 13)
)
LAYERS = "\n".join(
    [
        "| Layer | Score of the model on the held-out part of the set |",
        "|---|---|",
        *(f"| {n} | the score of this layer was the same as before |" for n in range(1, 13)),
    ]
)
CHINESE = (
    "本节介绍模型的结构和训练的过程。我们首先描述数据，然后说明测量的方法，最后给出结果和分析。"
)
BETTER = (
    "提高模型的准确率，并减少训练所需的时间。我们在三个数据集上进行了测试，结果优于已有的方法。"
)
NOTES = " ".join(
    f"{number}P. Nobody, Phys. Rev. {n}, {100 + n} ({1960 + n})."
    for number in range(1, 21)
    for n in [(number - 1) % 4 + 1]
)


@dataclass(frozen=True, slots=True)
class Case:
    """The expected result for a file. ``body`` and ``abstract``: numbers of sentences;
    ``in_abstract`` and ``rest``: other text of the abstract and of the body; ``notes`` and
    ``tables``: text of footnotes and tables; ``references``: number of lists of references;
    ``unread``: what is reported as not read; ``error``: the code of the error with which the file
    is refused; ``ocr``: pages that OCR reads.
    """

    file: str
    body: int = 0
    headings: tuple[str, ...] = NUMBERED
    abstract: int = 7
    title: str = TITLE
    in_abstract: str = ""
    rest: str = ""
    notes: str = ""
    tables: str = ""
    references: int = 1
    unread: tuple[str, ...] = ()
    error: str = ""
    ocr: tuple[int, ...] = ()


CASES = (
    Case("acmsmall.pdf", 180, tuple(heading.upper() for heading in NUMBERED)),
    Case("banner_institute.pdf", 84, abstract=8,
         headings=("1. Introduction", "2. Method", "3. Results", "4. Conclusion")),
    Case("bold_refs.pdf", 90, IMRAD),
    Case("chapter_refs.pdf", 90, references=5,
         headings=("1 Introduction", "2 A First Study", "3 A Second Study", "4 A Third Study",
                   "5 Conclusion")),
    Case("chinese.pdf", 0, ("1 引言", "2 相关工作", "3 方法", "4 实验", "5 结论"), 0,
         "分层网络中的小信号研究", rest=" ".join([CHINESE] * 25), in_abstract=" ".join([
             "本文研究了分层网络中的小信号，并提出了一种新的方法。实验结果表明，该方法能够有效地",
             *[BETTER] * 4])),
    Case("cover_tf.pdf", 84, rest=CITED),
    Case("foot_refs.pdf", 120, references=0, notes=NOTES, rest=" ".join(map(str, range(1, 21)))),
    Case("french.pdf", 90),
    Case("letter_nohead_article.pdf", 84, ()),
    Case("ln_twocol.pdf", 90),
    Case("lncs.pdf", 180),
    # Of a sentence that goes on to a page that is not read only the halves are left.
    Case("mixed_scan.pdf", 100, NUMBERED[:2], ocr=(3, 4), unread=("page 3", "page 4"),
         rest="The training of data needs the rate when the training is small."),
    # Its pages show what its text layer says: OCR reads the same.
    Case("mojibake.pdf", error="pdf_no_text"),
    Case("portfolio.pdf", error="pdf_no_text"),
    Case("xfa.pdf", error="pdf_no_text"),
    Case("revtex_ok.pdf", 90, tuple(name.upper() for name in FIVE)),
    Case("sa_plain.pdf", 90, IMRAD, 8, in_abstract="Background: Methods: Results: Conclusions:"),
    Case("sa_context.pdf", 90, abstract=10,
         in_abstract="Context: Objective: Method: Results: Conclusion:"),
    Case("short_heads.pdf", 140, ("1 Introduction", "2 Method", "3 Results", "4 Conclusion"), 6),
    Case("superscripts.pdf", 84, rest=CITED),
    Case("supported_by.pdf", 23, ("1 Introduction", "2 Results", "3 Conclusion"),
         rest="The second claim is supported by the results in Table 2. We find that this view is "
              "supported by a range of tests. Every answer must be supported by the source "
              "document. Our mechanism will release a noisy count. The library will open-source "
              "models."),
    Case("t3_dvips600.pdf", 90),
    Case("word_ms.pdf", 105, abstract=8, title=f"{TITLE}: A Study of Tests",
         headings=("Introduction", "Materials and Methods", "Results", "Discussion", "Conclusion")),
    Case("word_titlepage.pdf", 84, abstract=8,
         headings=("1. Introduction", "2. Methods", "3. Results", "4. Discussion")),
    Case("latex/two_docs.tgz", 30, FIVE, 5),
    Case("latex/template_left.tgz", 30, FIVE, 5),
    Case("latex/macro_path.tgz", 8, ("Introduction", "Method"), 5),
    Case("latex/missing_input.tex", 0, (), 5, "Small Signals", references=0,
         unread=("sections/intro", "sections/method", "sections/results")),
    Case("latex/cr_only.tgz", 30, FIVE, 5),
    Case("latex/numbered_exp.tex", 5, ("Introduction", "Experiments", "Conclusion"), 5,
         "Small Signals", rest=EXPERIMENTS, references=0),
    Case("latex/numbered_exp.md", 5, ("Introduction", "Experiments", "Conclusion"), 4,
         "Small Signals", rest=EXPERIMENTS, tables=LAYERS, references=0),
    Case("latex/abs_unclosed.tgz", 30, FIVE, 5),
    Case("latex/authors_acm.tgz", 30, FIVE, 5, references=0),
    Case("latex/authors_revtex.tgz", 30, FIVE, 5, references=0),
    Case("latex/authors_springer.tgz", 30, FIVE, 5, references=0),
    Case("latex/subfiles.tgz", 11, ("Introduction", "More", "Method"), 5),
    Case("latex/latin1.tgz", 3, ("Introduction",), 5, rest="Schön und grün, déjà vu."),
    Case("latex/single.gz", 30, FIVE, 5),
    Case("latex/macro_titles.tgz", 6, ("Spice 2 Pretrained Evaluation", "Big Model Results"), 5),
    Case("latex/plain_tex.tgz", 24, ("1. Introduction", "2. Results"), 0, references=0),
)  # fmt: skip


def problems(case: Case, data: bytes) -> Iterator[str]:
    """The differences between the result and the expected one."""
    for ocr in (False, True) if tessdata() else (False,):
        paper = _read(case, data, ocr=ocr)
        if isinstance(paper, str) or case.error:
            if paper != case.error:
                yield f"error {paper if isinstance(paper, str) else None!r}, not {case.error!r}"
        elif ocr and case.ocr:
            yield from _problems_of_ocr(case, paper)
        else:
            yield from _differences(case, paper)
            yield from _left(paper)


def _read(case: Case, data: bytes, *, ocr: bool) -> Paper | str:
    """The paper, blind; or the code of the error."""
    try:
        return read_file(data, case.file, ExtractOptions(max_pages=50, ocr=ocr))
    except PaperError as error:
        return str(error.code)


def _differences(case: Case, paper: Paper) -> Iterator[str]:
    body = [section for section in paper.sections if section.kind == "body"]
    apart = {"footnote": "", "table": ""}
    running: list[str] = []
    for paragraph in (paragraph for section in body for paragraph in section.paragraphs):
        if paragraph.kind in apart:
            apart[paragraph.kind] = f"{apart[paragraph.kind]} {paragraph.text}".strip()
        else:
            running.append(paragraph.text)
    text = " ".join(running)
    lists = [s for s in paper.sections if s.kind == "references" and len(s.text) > 200]
    found = {
        "title": (paper.title, case.title),
        "abstract": (len(SENTENCE.findall(paper.abstract)), case.abstract),
        "in the abstract": (_rest(paper.abstract), case.in_abstract),
        "headings": (tuple(section.heading for section in body if section.heading), case.headings),
        "body": (len(SENTENCE.findall(text)), case.body),
        "rest": (_rest(text), case.rest),
        "notes": (apart["footnote"], case.notes),
        "tables": (apart["table"], case.tables),
        "references": (len(lists), case.references),
        "unread": (paper.integrity.unread, case.unread),
        "hidden": ([finding.text for finding in paper.integrity.hidden_text], []),
    }
    for name, (given, expected) in found.items():
        if given != expected:
            yield f"{name}: {given!r}, not {expected!r}"


def _rest(text: str) -> str:
    return " ".join(SENTENCE.sub(" ", text).split())


def _left(paper: Paper) -> Iterator[str]:
    """Identifying text that is left, and empty parts of the paper."""
    yield from _names("title", paper.title)
    yield from _names("abstract", paper.abstract)
    for section in paper.sections:
        if section.kind in ("front_matter", "acknowledgements"):
            yield f"left: {section.kind}"
        if not section.heading and not section.paragraphs:
            yield "a section of nothing"
        if section.kind != "references":
            yield from _names(section.heading, f"{section.heading}\n{section.text}")


def _names(place: str, text: str) -> Iterator[str]:
    for match in IDENTITY.finditer(text):
        around = text[max(0, match.start() - 20) : match.end() + 20]
        yield f"left in {place!r}: {around!r}"


def _problems_of_ocr(case: Case, paper: Paper) -> Iterator[str]:
    if paper.integrity.ocr_pages != case.ocr or paper.integrity.unread:
        yield f"with OCR: {paper.integrity.ocr_pages}, not {case.ocr}"
    said = len(SENTENCE.findall(" ".join(section.text for section in paper.sections)))
    if said < _SCANNED * case.body:
        yield f"with OCR: {said} sentences, not many more than {case.body}"


def main() -> int:
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    folder = Path(words[0]) if words else SHARED / "pdfs" / "cases"
    expected = {row["file"]: row["expected"] for row in json.loads(
        (folder / "manifest.json").read_text("utf-8"))}  # fmt: skip
    unknown = set(expected) ^ {case.file for case in CASES}
    table: list[dict[str, Value]] = []
    for case in CASES:
        found = list(problems(case, (folder / case.file).read_bytes()))
        table.append({"case": case.file, "right": "no" if found else "yes",
                      "problems": "\n".join(text[:300] for text in found)})  # fmt: skip
        if found and "--details" in sys.argv:
            print(case.file, expected.get(case.file), *found, sep="\n    ")
    right = sum(row["right"] == "yes" for row in table)
    setting = "with OCR" if tessdata() else "without OCR, which is not to be had here"
    report("cases", f"{right} of {len(table)} right, {setting}", table, right=right)
    if unknown:
        print(f"not in both the manifest and this script: {sorted(unknown)}")
    return 1 if unknown or right < len(table) else 0


if __name__ == "__main__":
    raise SystemExit(main())
