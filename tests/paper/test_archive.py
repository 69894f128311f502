"""Archives of LaTeX sources."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import tarfile
import time
import zipfile
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ArchiveUnreadable, ArchiveUnsafe, PaperError
from app.paper.latex.archive import (
    MOST_BYTES,
    MOST_FILES,
    MOST_TEXT_BYTES,
    is_archive,
    paper_from_archive,
)
from app.paper.model import Paper
from tests.tex import FILES, SINGLE, tar

DOCUMENT = rb"\documentclass{article}\begin{document}Text.\end{document}"


def packed(files: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def headers(*members: tarfile.TarInfo) -> bytes:
    """A tar file of members without their contents, gzipped."""
    blocks = b"".join(member.tobuf(tarfile.USTAR_FORMAT) for member in members)
    return gzip.compress(blocks + bytes(1024))


def member(
    name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = ""
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


@pytest.mark.parametrize(
    "data",
    [
        tar(FILES),
        tar(FILES, packed=""),
        tar(FILES, tarfile.GNU_FORMAT),
        tar(FILES, tarfile.USTAR_FORMAT),
        packed(FILES),
        packed(FILES, zipfile.ZIP_STORED),
    ],
    ids=["pax.gz", "pax", "gnu.gz", "ustar.gz", "deflated", "stored"],
)
def test_many_files(data: bytes) -> None:
    assert is_archive(data)
    paper = paper_from_archive(data)
    assert (paper.title, paper.abstract) == (
        "Many Files, One Paper",
        "FileReader reads many files.",
    )
    assert [(s.heading, s.level, s.kind) for s in paper.sections] == [
        ("", 1, "front_matter"),
        ("Introduction", 1, "body"),
        ("Méthode", 1, "body"),
        ("Acknowledgements", 1, "acknowledgements"),
        ("References", 1, "references"),
        ("Further Results", 1, "appendix"),
    ]
    assert [section.text for section in paper.sections[1:]] == [
        "FileReader is here.",
        "We take $\\mathbf{x}$.",
        "The NSF paid.",
        "[doe] Doe, J. A thing.",
        "More.",
    ]
    assert "University of Examples, Town" in paper.sections[0].text
    assert paper.sha256 == hashlib.sha256(data).hexdigest()


def test_one_gzipped_file() -> None:
    assert paper_from_archive(gzip.compress(SINGLE.encode())).title.startswith("Counting Tokens")


def test_long_paths() -> None:
    folder = "/".join(["deep" * 10] * 8)
    files = {
        f"{folder}/main.tex": rb"\documentclass{a}\begin{document}\input{part}\end{document}",
        f"{folder}/part.tex": b"A part.",
    }
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        assert text(paper_from_archive(tar(files, kind))) == "A part."


def text(paper: Paper) -> str:
    return " ".join(section.text for section in paper.sections)


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        ({"a.tex": b"A", "main.tex": b"B"}, "B"),
        ({"long.tex": b"A longer text.", "b.tex": b"B"}, "A longer text."),
        ({"b.tex": b"A longer text.", "a.tex": rb"A\input{b}"}, "A"),
        ({"main.tex": b"B", "v2.tex": b"A", "00README.XXX": b"v2.tex toplevelfile\n"}, "A"),
        (
            {
                "main.tex": b"B",
                "v2.tex": b"A",
                "00README.json": b'{"sources": [{"usage": "toplevel", "filename": "v2.tex"}]}',
            },
            "A",
        ),
        ({"main.tex": b"B", "v2.tex": b"A", "00README.json": b"[" * 100_000}, "B"),
        ({"a/main.tex": b"B", "main.tex": b"A"}, "A"),
    ],
)
def test_the_main_file(files: dict[str, bytes], chosen: str) -> None:
    whole = {
        name: b"\\documentclass{a}\\begin{document}%s\\end{document}" % content
        if name.endswith(".tex")
        else content
        for name, content in files.items()
    }
    assert text(paper_from_archive(tar(whole))).startswith(chosen)


PAPER = (
    rb"\documentclass{a}\title{The Paper}\begin{document}\begin{abstract}A.\end{abstract}"
    rb"\section{One}Text.\end{document}"
)


@pytest.mark.parametrize(
    "other",
    [
        {"a_supplement.tex": PAPER.replace(b"The Paper", b"Supplement to: The Paper") + b"x" * 999},
        {"bare_jrnl.tex": PAPER.replace(b"The Paper", b"Bare Demo").replace(b"A.", b"The abstract "
                                                                           b"goes here.") * 2},
        {"notes.tex": rb"\documentclass{a}\begin{document}" + b"Long notes. " * 99, "a.bbl": b""},
    ],
    ids=["supplement", "template", "bibliography"],
)  # fmt: skip
def test_the_paper_is_told_by_more_than_its_length(other: dict[str, bytes]) -> None:
    assert paper_from_archive(tar({"a.tex": PAPER, **other})).title == "The Paper"


def test_plain_tex_in_an_archive() -> None:
    source = rb"\centerline{The Paper}" + b"\n\n" + rb"\beginsection One." + b"\nText.\n\\bye\n"
    assert paper_from_archive(tar({"x.tex": source, "y.tex": b"Nothing."})).title == "The Paper"


@pytest.mark.parametrize(
    "name", ["../main.tex", "a/../../main.tex", "/main.tex", "..", "C:/main.tex", "..\\main.tex"]
)
def test_paths_that_lead_out_are_refused(name: str) -> None:
    for data in (
        tar({"main.tex": DOCUMENT, name: b"x"}),
        packed({"main.tex": DOCUMENT, name: b"x"}),
    ):
        with pytest.raises(ArchiveUnsafe):
            paper_from_archive(data)


def test_links_and_devices_are_passed_over() -> None:
    kinds = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
    strange = [
        member(f"{number}.tex", kind, link="/etc/passwd") for number, kind in enumerate(kinds)
    ]
    with pytest.raises(ArchiveUnreadable, match="no LaTeX document"):
        paper_from_archive(headers(*strange))


def gzipped_zeros(size: int) -> bytes:
    once = gzip.compress(bytes(10_000_000))
    return once * (size // 10_000_000 + 1)


def inflated(name: str, claimed: int, size: int) -> bytes:
    """A gzipped tar file with one long member of zeros."""
    head = member(name, size=claimed).tobuf(tarfile.GNU_FORMAT)
    return gzip.compress(head) + gzipped_zeros(size)


BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzipped_zeros(MOST_BYTES),
    "figure": lambda: inflated("fig.pdf", MOST_BYTES + 1, MOST_BYTES + 1),
    "text": lambda: inflated("main.tex", MOST_TEXT_BYTES + 1, MOST_TEXT_BYTES + 1),
    "claims an exabyte": lambda: inflated("fig.pdf", 2**60, MOST_BYTES),
    "zip text": lambda: packed({"main.tex": bytes(MOST_TEXT_BYTES + 1)}),
    "zip texts": lambda: packed({f"{n}.tex": bytes(MOST_TEXT_BYTES // 4) for n in range(5)}),
    "zip files": lambda: packed({str(n): b"" for n in range(MOST_FILES + 1)}),
    "tar files": lambda: headers(*(member(str(n)) for n in range(2 * MOST_FILES + 1))),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs(bomb: str) -> None:
    data = BOMBS[bomb]()
    before = time.process_time()
    with pytest.raises(ArchiveUnsafe):
        paper_from_archive(data)
    assert time.process_time() - before < 5


def test_extended_headers_take_no_time() -> None:
    digits = b"1" * 1_000_000
    head = member("x", tarfile.XHDTYPE, size=len(digits)).tobuf(tarfile.USTAR_FORMAT)
    before = time.process_time()
    with pytest.raises(PaperError):
        paper_from_archive(gzip.compress(head + digits))
    assert time.process_time() - before < 2


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
@pytest.mark.parametrize(
    "data", [tar(FILES), tar(FILES, packed=""), packed(FILES)], ids=["gz", "tar", "zip"]
)
def test_truncated_archives(data: bytes, share: float) -> None:
    with pytest.raises(ArchiveUnreadable):
        paper_from_archive(data[: int(len(data) * share)])


def test_an_archive_in_an_archive_stays_closed() -> None:
    inner = tar({"main.tex": DOCUMENT})
    with pytest.raises(ArchiveUnreadable):
        paper_from_archive(tar({"inner.tar.gz": inner}))
    with pytest.raises(PaperError):
        paper_from_archive(gzip.compress(inner))


def test_encrypted_zip() -> None:
    data = bytearray(packed({"main.tex": DOCUMENT}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ArchiveUnreadable):
        paper_from_archive(bytes(data))


@pytest.mark.parametrize("data", [b"", b"%PDF-1.4", b"\\documentclass", b"x" * 600])
def test_what_is_no_archive(data: bytes) -> None:
    assert not is_archive(data)


SAMPLES = [tar(FILES), tar(FILES, packed=""), packed(FILES), gzip.compress(DOCUMENT)]


@given(st.sampled_from(SAMPLES), st.integers(0, 20_000), st.binary(min_size=1, max_size=8))
def test_damaged_archives_are_read_or_refused(sample: bytes, at: int, bytes_: bytes) -> None:
    at %= len(sample)
    with contextlib.suppress(PaperError):
        paper_from_archive(sample[:at] + bytes_ + sample[at + len(bytes_) :])


@given(st.sampled_from([b"", b"\x1f\x8b", b"PK\x03\x04", b"PK\x05\x06"]), st.binary(max_size=700))
def test_any_bytes_are_read_or_refused(magic: bytes, data: bytes) -> None:
    for candidate in (magic + data, gzip.compress(data)):
        with contextlib.suppress(PaperError):
            paper_from_archive(candidate)
