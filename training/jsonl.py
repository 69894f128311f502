"""Rows in files, one JSON a line: errors name the line, and a kill costs no more than a line."""

from __future__ import annotations

import gzip
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from training.errors import InputInvalid, InputMissing

Row = TypeVar("Row")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def read_rows(path: Path, kind: type[Row]) -> Iterator[Row]:
    """The rows of a ``.jsonl`` or ``.jsonl.gz``.

    Raises:
        InputMissing: there is no such file.
        InputInvalid: a line is no such row, or the last one is cut off; its number is named.
    """
    decoder = msgspec.json.Decoder(kind)
    number = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    raise InputInvalid(
                        f"{path}, line {number}: the line is cut off: the file has no end of line"
                    )
                yield _decoded(line, decoder)
    except FileNotFoundError as error:
        raise InputMissing(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise InputMissing(f"{path} is a folder, not a file") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputInvalid(
            f"{path}, after line {number}: the compressed file is cut off"
        ) from error
    except UnicodeDecodeError as error:
        raise InputInvalid(f"{path}, line {number}: it is not UTF-8") from error
    except msgspec.DecodeError as error:
        raise InputInvalid(f"{path}, line {number}: {error}") from error


def _decoded(line: bytes, decoder: msgspec.json.Decoder[Row]) -> Row:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError:
        if not _ESCAPED_SURROGATE.search(line):
            raise
    return decoder.decode(encoded(lenient_json(line)))


def lenient_json(data: bytes) -> Any:
    """JSON in which half of a pair of surrogates, as many programs write it, is U+FFFD.

    Raises:
        msgspec.DecodeError: it is no JSON.
    """
    try:
        return _without_surrogates(json.loads(data))
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from error


def encoded(row: object) -> bytes:
    """One line of JSON without its end; half a pair of surrogates becomes U+FFFD."""
    try:
        return msgspec.json.encode(row)
    except UnicodeEncodeError:
        return msgspec.json.encode(_without_surrogates(msgspec.to_builtins(row)))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")


def write_rows(path: Path, rows: Iterable[object]) -> int:
    """Write all rows; the file appears whole or not at all. Returns how many there were."""
    scratch = path.with_name(f".{path.name}.part")
    count = 0
    with scratch.open("wb") as file:
        for row in rows:
            file.write(encoded(row) + b"\n")
            count += 1
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)
    return count


class Appender:
    """Appends rows to a file, each on the disk before the next; a context manager.

    A line that a kill cut off is removed when the file is opened. ``sync`` writes through to the
    disk after each row: for rows that cost money.
    """

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        self._path = path
        self._sync = sync

    def __enter__(self) -> Appender:
        mend_tail(self._path)
        self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, row: object) -> None:
        line = encoded(row) + b"\n"
        # One call for the whole line; what a raw write leaves over is rare, and must go too.
        while line:
            line = line[self._file.write(line) :]
        if self._sync:
            os.fsync(self._file.fileno())


def mend_tail(path: Path) -> None:
    """Remove what stands after the last end of line. No file is fine."""
    if not path.exists():
        return
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        at = end
        while at > 0:
            start = max(0, at - 65536)
            file.seek(start)
            found = file.read(at - start).rfind(b"\n")
            if found >= 0:
                at = start + found + 1
                break
            at = start
        if at < end:
            file.truncate(at)
