"""Reads a PDF. Runs in a worker process, as hostile files may hang, crash or exhaust memory."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pymupdf

from app.errors import (
    NotAPdf,
    PaperError,
    PdfEmpty,
    PdfEncrypted,
    PdfNoText,
    PdfTooLong,
    PdfTooManyPages,
)
from app.paper.hidden.inspector import Inspector, PageFindings
from app.paper.model import Finding, Integrity, Paper
from app.paper.pdf.columns import in_reading_order
from app.paper.pdf.furniture import contents_lines, drop_furniture
from app.paper.pdf.lines import FLAGS, Line, page_lines, rows
from app.paper.pdf.ocr import is_language, read_scan, tessdata
from app.paper.pdf.structure import structure
from app.paper.screening.screen import screen

_FEWEST_CHARACTERS = 32
"""A PDF with fewer characters counts as one without text."""
_MOST_OF_A_SCAN = 200
"""Most characters of text on a scanned page, such as a library's stamp."""
_PICTURE = 0.5
"""Least share of a scanned page that its image covers."""
_MOST_CHARACTERS = 5_000_000
"""More than any book has: the PDF is a decompression bomb."""
_HEADER_WITHIN = 1024
"""PDF readers accept ``%PDF-`` anywhere in the first kilobyte, for example after mail headers."""
_FEWEST_OF_A_CAPTION = 40
_LONGEST_NOTICE = 1200
"""Most characters of a notice that the viewer can't display the document."""
_NOTICE = re.compile(
    r"if this message is not eventually replaced|open this pdf portfolio|"
    r"your pdf viewer may not be able to display",
    re.IGNORECASE,
)
_OUT_OF_MEMORY = re.compile(r"(malloc|calloc|realloc) \(.*\) failed")


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """How to read a PDF. ``blind`` removes text that reveals authors, venue or decision."""

    max_pages: int
    blind: bool = True
    ocr: bool = False
    detect_hidden: bool = True


@dataclass(slots=True)
class _Pages:
    """The content of the pages, by page number from 1."""

    lines: dict[int, list[Line]] = field(default_factory=dict)
    heights: dict[int, float] = field(default_factory=dict)
    hidden: list[Finding] = field(default_factory=list)
    scans: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)

    def all_lines(self) -> list[Line]:
        return [line for lines in self.lines.values() for line in lines]


def extract_paper(data: bytes, options: ExtractOptions) -> Paper:
    """Read a PDF.

    Raises:
        PaperError: the file can't be read; subclasses give the reason.
        MemoryError: this process must not be used again; MuPDF hangs after a failed allocation.
    """
    with open_pdf(data, options.max_pages) as document:
        pages = _read_pages(document, options)
        repaired = bool(document.is_repaired)
        count = document.page_count
    digest = hashlib.sha256(data).hexdigest()
    return _assemble(pages, count, repaired, digest, options.blind)


def _assemble(pages: _Pages, count: int, repaired: bool, digest: str, blind: bool) -> Paper:
    pieces, dropped = drop_furniture(pages.all_lines(), pages.heights)
    lines = rows(in_reading_order(pieces))
    contents = contents_lines(lines)
    if contents:
        dropped["contents"] = len(contents)
        lines = [line for index, line in enumerate(lines) if index not in contents]
    if not lines:
        raise PdfNoText("The PDF has no text besides page numbers and the like.", param="file")
    paper = replace(
        structure(lines),
        pages=count,
        sha256=digest,
        integrity=Integrity(
            hidden_text=tuple(pages.hidden),
            dropped=dict(dropped),
            repaired=repaired,
            ocr_pages=tuple(pages.scans),
            unread=tuple(f"page {number}" for number in pages.unread),
        ),
    )
    return screen(paper, blind)


def is_pdf(data: bytes) -> bool:
    """Whether the file has a PDF header."""
    return b"%PDF-" in data[:_HEADER_WITHIN]


@contextmanager
def open_pdf(data: bytes, max_pages: int) -> Iterator[pymupdf.Document]:
    """Open and check a PDF; MuPDF's errors become ``PaperError``.

    Raises:
        PaperError: the file can't be read; subclasses give the reason.
        MemoryError: see :func:`extract_paper`.
    """
    if not data:
        raise PdfEmpty("The file is empty.", param="file")
    if not is_pdf(data):
        raise NotAPdf("The file is not a PDF: it does not begin with %PDF-.", param="file")
    pymupdf.TOOLS.mupdf_display_errors(False)
    pymupdf.TOOLS.mupdf_display_warnings(False)
    try:
        with pymupdf.open(stream=data, filetype="pdf") as document:
            _check(document, max_pages)
            yield document
    except PaperError:
        raise
    except (RuntimeError, ValueError, pymupdf.mupdf.FzErrorBase) as error:
        if _OUT_OF_MEMORY.search(str(error)):
            raise MemoryError from error
        raise PaperError("The PDF is damaged beyond reading.", param="file") from error


def _check(document: pymupdf.Document, max_pages: int) -> None:
    if not document.is_pdf:
        raise NotAPdf("The file is not a PDF.", param="file")
    if document.needs_pass:
        raise PdfEncrypted("The PDF is encrypted; send it without a password.", param="file")
    if document.page_count > max_pages:
        raise PdfTooManyPages(
            f"The PDF has {document.page_count} pages; the limit is {max_pages}.", param="file"
        )
    if document.page_count == 0:
        raise PaperError("The PDF has no pages.", param="file")


def _read_pages(document: pymupdf.Document, options: ExtractOptions) -> _Pages:
    pages = _read_text(document, options)
    _check_notice(document, pages)
    folder = tessdata() if options.ocr else None
    if not is_language("\n".join(line.text for line in pages.all_lines())):
        if folder is None:
            raise PdfNoText(
                "The PDF's text is not readable: its fonts do not say which letters they show. "
                "OCR could read it, but is not available.",
                param="file",
            )
        pages.scans = list(pages.lines)
    if 2 * len(pages.scans) < document.page_count:
        # A figure on a page of its own has a caption; a scanned page among others has no text.
        pages.scans = [n for n in pages.scans if _length(pages.lines[n]) < _FEWEST_OF_A_CAPTION]
    # Half of the pages, because a scan often has a cover sheet or stamps with text.
    elif pages.scans and folder is None:
        raise PdfNoText("The PDF is a scan, and OCR is not available.", param="file")
    if folder is None:
        pages.unread, pages.scans = pages.scans, []
    for number in pages.scans:
        page = document[number - 1]
        pages.lines[number] = page_lines(page, read_scan(page, str(folder)), {})
    if _length(pages.all_lines()) < _FEWEST_CHARACTERS:
        raise PdfNoText("The PDF has no text.", param="file")
    if pages.scans and not is_language("\n".join(line.text for line in pages.all_lines())):
        raise PdfNoText("OCR found no readable text on the PDF's pages.", param="file")
    return pages


def _check_notice(document: pymupdf.Document, pages: _Pages) -> None:
    """Recognise files that contain only a notice for viewers.

    Raises:
        PdfNoText: the only text is that the viewer can't display the document.
    """
    text = " ".join(line.text for line in pages.all_lines())
    if len(text) >= _LONGEST_NOTICE:
        return
    catalogue = document.pdf_catalog()
    if document.xref_get_key(catalogue, "Collection")[0] != "null":
        raise PdfNoText("The file is a PDF portfolio: send the paper that is in it.", param="file")
    if document.xref_get_key(catalogue, "AcroForm/XFA")[0] != "null":
        raise PdfNoText("The file is an XFA form: print it to a PDF and send that.", param="file")
    if _NOTICE.search(text):
        raise PdfNoText("The PDF has only a notice that it can't be displayed.", param="file")


def _read_text(document: pymupdf.Document, options: ExtractOptions) -> _Pages:
    pages = _Pages()
    inspector = Inspector(document) if options.detect_hidden else None
    characters = 0
    for page in document:
        number = page.number + 1
        content = page.get_text("dict", flags=FLAGS)
        findings = inspector.inspect(page, content) if inspector else PageFindings()
        pages.hidden += [_turned(page, found) for found in findings.hidden]
        pages.heights[number] = page.rect.height
        pages.lines[number] = lines = page_lines(page, content, findings.visible)
        length = _length(lines)
        if length < _MOST_OF_A_SCAN and _is_picture(page):
            pages.scans.append(number)
        characters += length
        if characters > _MOST_CHARACTERS:
            raise PdfTooLong(
                f"The PDF has more than {_MOST_CHARACTERS} characters of text.", param="file"
            )
    return pages


def _turned(page: pymupdf.Page, found: Finding) -> Finding:
    """The finding with its position on the displayed page; MuPDF's are those before rotation."""
    return replace(found, bbox=tuple(pymupdf.Rect(found.bbox) * page.rotation_matrix))


def _length(lines: Iterable[Line]) -> int:
    return sum(len(line.text) for line in lines)


def _is_picture(page: pymupdf.Page) -> bool:
    """Whether one image covers most of the page."""
    whole = abs(page.rect)
    return any(
        abs(pymupdf.Rect(image["bbox"])) > _PICTURE * whole for image in page.get_image_info()
    )
