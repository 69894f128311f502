"""The sources of a paper: a file, a link, or a text."""

from __future__ import annotations

from dataclasses import dataclass

from app.paper.model import Paper

LATEX_SUFFIXES = (".tex", ".ltx", ".latex")
TEXT_SUFFIXES = (".md", ".markdown", ".txt")
PAPER_SUFFIXES = (".pdf", *LATEX_SUFFIXES, *TEXT_SUFFIXES, ".gz", ".tgz", ".tar", ".zip")
"""Suffixes of files that may be papers. Their format is recognised from their content."""


@dataclass(frozen=True, slots=True)
class File:
    """A file's bytes, and its name, whose suffix distinguishes LaTeX from other texts."""

    data: bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A URL of a paper, or an arXiv id."""

    url: str


Source = File | Link | Paper
