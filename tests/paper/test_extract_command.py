"""``reviewer extract``: what it writes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pymupdf
from typer.testing import CliRunner

from app.cli import cli
from tests.papers import paper_pdf


def test_the_overlay_is_a_file_of_its_own(tmp_path: Path) -> None:
    paper, drawn = tmp_path / "paper.pdf", tmp_path / "drawn.pdf"
    paper.write_bytes(paper_pdf())
    result = CliRunner().invoke(cli, ["extract", str(paper), "--overlay", str(drawn)])
    assert result.exit_code == 0
    with pymupdf.open(drawn) as document:
        assert document[0].get_drawings()
    assert paper.read_bytes() == paper_pdf()


def test_the_overlay_never_overwrites_the_paper(tmp_path: Path) -> None:
    paper, link = tmp_path / "paper.pdf", tmp_path / "link.pdf"
    paper.write_bytes(paper_pdf())
    link.symlink_to(paper)
    for path in (paper, link):
        result = CliRunner().invoke(cli, ["extract", str(paper), "--overlay", str(path)])
        assert result.exit_code == 2
        assert "overwrite" in result.output
    assert paper.read_bytes() == paper_pdf()
