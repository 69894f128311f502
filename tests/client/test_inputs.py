"""Which papers a batch is of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.cli.client.batch.inputs import find_papers
from app.errors import ConfigurationError


def test_a_folder_with_its_subfolders(tmp_path: Path) -> None:
    for name in (
        "b.pdf",
        "a.PDF",
        "sub/deep/c.tar.gz",
        "sub/d.tex",
        "e.md",
        ".f.pdf",
        ".git/g.pdf",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    (tmp_path / "figure.png").write_bytes(b"x")
    (tmp_path / "README").write_bytes(b"x")
    (tmp_path / "folder.pdf").mkdir()
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "broken.pdf").symlink_to(tmp_path / "nothing")
    (tmp_path / "linked.pdf").symlink_to(tmp_path / "b.pdf")
    os.mkfifo(tmp_path / "pipe.pdf")
    found = find_papers(tmp_path)
    assert [paper.path for paper in found.papers] == [
        "a.PDF",
        "b.pdf",
        "broken.pdf",
        "e.md",
        "linked.pdf",
        "pipe.pdf",
        "sub/d.tex",
        "sub/deep/c.tar.gz",
    ]
    assert found.papers[-1].file == tmp_path / "sub/deep/c.tar.gz"
    assert found.notices == ["files whose names are not those of papers: 2 (1 no suffix, 1 .png)"]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.pdf"))
    file.write_bytes(b"x")
    (paper,) = find_papers(tmp_path).papers
    assert paper.path == "caf\\xe9.pdf"
    assert paper.file.read_bytes() == b"x"


def test_a_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    text = '\ufefftrack, path ,id\nmain,a.pdf,7\n\n"a, b",sub/b.pdf,8\nmain,/abs/c.pdf,9\n'
    manifest.write_text(text, encoding="utf-8")
    found = find_papers(manifest)
    assert [(paper.path, paper.id, paper.columns) for paper in found.papers] == [
        ("a.pdf", "7", {"track": "main"}),
        ("sub/b.pdf", "8", {"track": "a, b"}),
        ("/abs/c.pdf", "9", {"track": "main"}),
    ]
    assert [paper.file for paper in found.papers] == [
        tmp_path / "a.pdf",
        tmp_path / "sub" / "b.pdf",
        Path("/abs/c.pdf"),
    ]
    assert not found.notices


def test_rows_that_name_the_same_file(tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text("path,id\na.pdf,1\nb.pdf,2\na.pdf,3\n")
    found = find_papers(manifest)
    assert [(paper.path, paper.id) for paper in found.papers] == [("a.pdf", "1"), ("b.pdf", "2")]
    (notice,) = found.notices
    assert "row 4 of the manifest names a.pdf again" in notice


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"path,id\n", "contains no papers"),
        (b"file;title\na.pdf;T\n", "has no column 'path'; its first row is: file;title"),
        (b"path,id,path\na,1,b\n", "more than one column 'path'"),
        (b"path,title\na.pdf,caf\xe9\n", "is not UTF-8"),
        ("path\na.pdf\n".encode("utf-16"), "is not UTF-8"),
        (b"path,title\na.pdf\n", "row 2: 1 cells, but 2 columns"),
        (b"path,title\na.pdf,T\nb.pdf,a,b\n", "row 3: 3 cells, but 2 columns"),
        (b"path,title\n ,T\n", "row 2: no path"),
        (b'path,title\na.pdf,"T\n', "is not valid CSV"),
        (b"path\n" + b"a" * 200_000, "is not valid CSV"),
    ],
)
def test_a_manifest_that_breaks_the_rules(tmp_path: Path, content: bytes, told: str) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_bytes(content)
    with pytest.raises(ConfigurationError, match=told):
        find_papers(manifest)


def test_a_folder_without_papers(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="contains no papers"):
        find_papers(tmp_path)
    (tmp_path / "a.docx").write_bytes(b"x")
    with pytest.raises(ConfigurationError, match=r"contains no papers; .* 1 \(1 .docx\)"):
        find_papers(tmp_path)
