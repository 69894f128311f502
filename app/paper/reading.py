"""Reads a file of any supported format. Runs in a worker process."""

from __future__ import annotations

from pathlib import PurePath

from app.errors import NotAPdf, PdfEmpty
from app.paper.latex.archive import is_archive, paper_from_archive
from app.paper.latex.source import paper_from_latex
from app.paper.model import Paper
from app.paper.pdf.extract import ExtractOptions, extract_paper, is_pdf
from app.paper.screening.screen import screen
from app.paper.sources import LATEX_SUFFIXES, TEXT_SUFFIXES
from app.paper.text import paper_from_markdown


def read_file(data: bytes, name: str, options: ExtractOptions) -> Paper:
    """Read a file. Its format is recognised from its content; for texts, from its name's suffix.

    Raises:
        PaperError: the file can't be read; subclasses give the reason.
    """
    if not data:
        raise PdfEmpty("The file is empty.", param="file")
    if is_pdf(data):
        return extract_paper(data, options)
    return screen(_read_text(data, PurePath(name).suffix.lower()), options.blind)


def _read_text(data: bytes, suffix: str) -> Paper:
    if is_archive(data):
        return paper_from_archive(data)
    if suffix in LATEX_SUFFIXES:
        return paper_from_latex(data)
    if suffix in TEXT_SUFFIXES:
        return paper_from_markdown(data)
    raise NotAPdf(
        "The file is not a PDF (it does not begin with %PDF-), not an archive, and not named .tex, "
        ".md or .txt.",
        param="file",
    )
