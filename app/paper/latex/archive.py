"""Reads papers from archives of LaTeX sources, as served by arXiv. Nothing is written to disk.

In Python releases that are supported here, ``tarfile`` reads extended headers in quadratic time
(CVE-2024-6232). So the members are iterated here, and ``tarfile`` only parses plain headers.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from posixpath import normpath
from typing import BinaryIO, Protocol

from app.errors import ArchiveUnreadable, ArchiveUnsafe
from app.paper.latex.source import decode_latex, paper_from_latex
from app.paper.model import Paper

MOST_BYTES = 200_000_000
"""Maximum size of an unpacked archive, including figures."""
MOST_TEXT_BYTES = 20_000_000
"""Maximum total size of the files that are read."""
MOST_FILES = 2_000
_LONGEST_PATH = 4_096
_CHUNK = 65_536
_BLOCK = 512
_WITHOUT_CONTENT = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
_DAMAGED = (EOFError, OSError, ValueError, RuntimeError, zlib.error, zipfile.BadZipFile)
_READ = (".tex", ".ltx", ".bbl")
_GZIP, _ZIPS = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06")
_DOCUMENT = re.compile(r"^[^%\n]*\\document(class|style)\b", re.MULTILINE)
_PART = re.compile(
    r"^[^%\n]*\\document(?:class|style)[^{}\n]*\{(subfiles|standalone)\}", re.MULTILINE
)
_INCLUDED = re.compile(r"\\(?:input|include|subfile)\s*+\{?\s*+([^\s{}\\]+)")
_USUAL_NAMES = ("main", "ms", "paper", "article", "manuscript", "root")
_OTHER_NAMES = re.compile(
    r"supp|append|rebuttal|response|reply|cover|letter_to|template|sample|bare_(jrnl|conf)|"
    r"example|elsarticle-|sn-article|readme|poster|slides|diff",
    re.IGNORECASE,
)
"""Names of files that are not the paper."""
_OTHER_TITLE = re.compile(
    r"\\title\s*(\[[^\]]*\])?\s*\{\s*(supplement|supporting information|appendix|response to|"
    r"bare demo|template|how to use|title of (the|your))",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"(the )?abstract goes here|your (abstract|text) here|lorem ipsum|insert your (abstract|text)",
    re.IGNORECASE,
)
_ABSTRACT = re.compile(r"\\begin\s*\{abstract\}|\\abstract\b|\\begin\s*\{onecolabstract\}")
_PLAIN_TEX = re.compile(
    r"^[^%\n]*\\(bye\b|magnification|beginsection|input\s+(plain|amstex|eplain))", re.MULTILINE
)
_TOP_LEVEL = re.compile(r"^(\S+)\s+toplevelfile\s*$", re.MULTILINE)


class _Reads(Protocol):
    def read(self, size: int, /) -> bytes: ...


def is_archive(data: bytes) -> bool:
    """Whether the data begins like a gzip, zip or tar file."""
    return data.startswith((_GZIP, *_ZIPS)) or data[257:262] == b"ustar"


def paper_from_archive(data: bytes) -> Paper:
    """The paper in a .tar.gz, .tar or .zip, or in one gzipped LaTeX file.

    Raises:
        ArchiveUnsafe: it is too large when unpacked, or has a path outside of itself.
        ArchiveUnreadable: it is damaged, or contains no LaTeX document.
        LatexUnreadable: the document can't be read.
    """
    files = read_files(data)
    name, main = main_of(files)
    folder = name.rpartition("/")[0]
    seen = {path.removeprefix(f"{folder}/"): content for path, content in files.items()}
    paper = paper_from_latex(main, seen, PurePosixPath(name).name)
    return replace(paper, sha256=hashlib.sha256(data).hexdigest())


def read_files(data: bytes) -> dict[str, bytes]:
    """The text files of an archive, by path."""
    try:
        if data.startswith(_ZIPS):
            members = _zip_members(data)
        elif data.startswith(_GZIP):
            members = _tar_or_text_members(gzip.GzipFile(fileobj=io.BytesIO(data)))
        else:
            members = _tar_members(_Bounded(io.BytesIO(data)))
        files: dict[str, bytes] = {}
        room = MOST_TEXT_BYTES
        for path, content in members:
            room -= len(content)
            _check_text(room)
            files[path] = content
    except _DAMAGED as error:
        raise ArchiveUnreadable(f"The archive is damaged: {error}.", param="file") from error
    return files


def _check_text(room: int) -> None:
    if room < 0:
        raise ArchiveUnsafe(
            f"The archive contains more than {MOST_TEXT_BYTES / 1e6:g} MB of text.", param="file"
        )


class _Bounded:
    """A stream that raises ``ArchiveUnsafe`` after ``MOST_BYTES``."""

    def __init__(self, stream: _Reads) -> None:
        self._stream = stream
        self._room = MOST_BYTES

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(size)
        self._room -= len(data)
        if self._room < 0:
            raise ArchiveUnsafe(
                f"The archive unpacks to more than {MOST_BYTES / 1e6:g} MB.", param="file"
            )
        return data

    def whole(self, size: int) -> bytes:
        """Read exactly ``size`` bytes.

        Raises:
            EOFError: there are fewer.
        """
        pieces = []
        while size > 0:
            piece = self.read(min(size, _CHUNK))
            if not piece:
                raise EOFError("it ends in the middle of a file")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        while size > 0:
            size -= len(self.whole(min(size, _CHUNK)))


def _tar_or_text_members(stream: BinaryIO | gzip.GzipFile) -> Iterator[tuple[str, bytes]]:
    """The members of a tar file, or the one text of a gzipped file (arXiv's single-file papers)."""
    bounded = _Bounded(stream)
    first = bounded.read(_BLOCK)
    if len(first) == _BLOCK and _is_header(first):
        yield from _tar_members(bounded, first)
        return
    pieces = [first]
    while piece := bounded.read(_CHUNK):
        pieces.append(piece)
    yield "main.tex", b"".join(pieces)


def _is_header(block: bytes) -> bool:
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _tar_members(stream: _Bounded, first: bytes = b"") -> Iterator[tuple[str, bytes]]:
    long_name = ""
    for _ in range(2 * MOST_FILES):
        block = first or stream.read(_BLOCK)
        first = b""
        if block and not block.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise EOFError(str(error)) from error
        size = info.size
        if size < 0:
            raise EOFError("a file in it has a negative size")
        padding = -size % _BLOCK
        if info.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            header = stream.whole(min(size, _LONGEST_PATH))
            stream.skip(size - len(header) + padding)
            long_name = _long_name(header, info.type) or long_name
            continue
        path = _safe_path(long_name or info.name)
        if info.type not in (tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE):
            long_name = ""
        if info.isreg() and _is_read(path):
            _check_text(MOST_TEXT_BYTES - size)
            yield path, stream.whole(size)
            stream.skip(padding)
        else:
            stream.skip(0 if info.type in _WITHOUT_CONTENT else size + padding)
    raise ArchiveUnsafe(f"The archive contains more than {MOST_FILES:,} files.", param="file")


def _long_name(header: bytes, kind: bytes) -> str:
    """The path in an extended header: the whole of a GNU header, or the value of a POSIX header's
    line ``12 path=...``.
    """
    if kind == tarfile.GNUTYPE_LONGNAME:
        return header.rstrip(b"\0").decode("utf-8", "replace")
    for line in header.split(b"\n"):
        _, _, entry = line.partition(b" ")
        if entry.startswith(b"path="):
            return entry[5:].decode("utf-8", "replace")
    return ""


def _zip_members(data: bytes) -> Iterator[tuple[str, bytes]]:
    end = data.rfind(b"PK\x05\x06")
    if end < 0 or len(data) - end < 22:
        raise EOFError("its end is missing")
    (entries,) = struct.unpack_from("<H", data, end + 10)
    (directory,) = struct.unpack_from("<L", data, end + 12)
    if (
        entries > MOST_FILES
        or directory > MOST_FILES * 1_000
        or data[end - 20 : end - 16] == b"PK\x06\x07"
    ):
        raise ArchiveUnsafe(f"The archive contains more than {MOST_FILES:,} files.", param="file")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            path = _safe_path(info.filename)
            if info.is_dir() or not _is_read(path):
                continue
            if (
                info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
                or info.flag_bits & 1
            ):
                raise ArchiveUnreadable(
                    "The archive is encrypted, or not compressed with deflate.", param="file"
                )
            with archive.open(info) as member:
                content = member.read(MOST_TEXT_BYTES + 1)
            yield path, content


def _safe_path(name: str) -> str:
    """A member's path within the archive.

    Raises:
        ArchiveUnsafe: the path is outside of the archive.
    """
    path = normpath(name.replace("\\", "/"))
    if path.startswith(("/", "../")) or path == ".." or re.match(r"[A-Za-z]:", path):
        raise ArchiveUnsafe("The archive contains a path outside of itself.", param="file")
    return path


def _is_read(path: str) -> bool:
    name = PurePosixPath(path).name
    return name.lower().endswith(_READ) or name.startswith("00README")


def main_of(files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """The path and content of the main document.

    Candidates are ranked: first the one that arXiv's 00README names, then documents that no other
    includes, then by their names and contents.
    """
    texts = {
        path: decode_latex(content)
        for path, content in files.items()
        if not path.lower().endswith(".bbl") and not PurePosixPath(path).name.startswith("00README")
    }
    documents = {path: found for path, text in texts.items() if (found := _DOCUMENT.search(text))}
    if not documents:
        return _plain_tex(texts, files)
    named = _named_by_arxiv(files)
    included = {
        PurePosixPath(name).stem for text in texts.values() for name in _INCLUDED.findall(text)
    }

    listed = {path[:-4] for path in files if path.lower().endswith(".bbl")}

    def rank(path: str) -> tuple[bool | int, ...]:
        stem = PurePosixPath(path).stem
        return (
            path in named,
            not _PART.match(texts[path], documents[path].end()),
            stem not in included,
            not _OTHER_NAMES.search(stem) and not _OTHER_TITLE.search(texts[path]),
            not _PLACEHOLDER.search(texts[path]),
            path.rpartition(".")[0] in listed,
            _ABSTRACT.search(texts[path]) is not None,
            stem.lower() in _USUAL_NAMES,
            -path.count("/"),
            len(texts[path]),
        )

    best = max(documents, key=rank)
    return best, files[best]


def _plain_tex(texts: Mapping[str, str], files: Mapping[str, bytes]) -> tuple[str, bytes]:
    """The longest file in plain TeX.

    Raises:
        ArchiveUnreadable: there is none.
    """
    plain = [path for path, text in texts.items() if _PLAIN_TEX.search(text)]
    if not plain:
        raise ArchiveUnreadable("The archive contains no LaTeX document.", param="file")
    best = max(plain, key=lambda path: len(texts[path]))
    return best, files[best]


def _named_by_arxiv(files: Mapping[str, bytes]) -> set[str]:
    """The top-level files that arXiv's file 00README names, in its old format or as JSON."""
    named: set[str] = set()
    for path, content in files.items():
        if not PurePosixPath(path).name.startswith("00README"):
            continue
        named.update(_TOP_LEVEL.findall(decode_latex(content)))
        if path.endswith(".json"):
            named.update(_named_in_json(content))
    return named


def _named_in_json(content: bytes) -> list[str]:
    try:
        sources = json.loads(content)["sources"]
        return [str(source["filename"]) for source in sources if source["usage"] == "toplevel"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return []
