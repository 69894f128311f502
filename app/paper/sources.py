"""What a paper may come as."""

from __future__ import annotations

from dataclasses import dataclass

from app.paper.model import Paper

LATEX_SUFFIXES = (".tex", ".ltx", ".latex")
TEXT_SUFFIXES = (".md", ".markdown", ".txt")
PAPER_SUFFIXES = (".pdf", *LATEX_SUFFIXES, *TEXT_SUFFIXES, ".gz", ".tgz", ".tar", ".zip")
"""How the names of files end that may be papers; what they are, their bytes tell."""


@dataclass(frozen=True, slots=True)
class File:
    """A file's bytes, and its name as the sender gave it, which tells texts apart."""

    data: bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """An address to fetch a file from, or an arXiv id."""

    url: str


Source = File | Link | Paper
