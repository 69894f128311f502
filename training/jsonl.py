"""JSON Lines files. Errors name the line; a killed process loses at most the line being written."""

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
        InputInvalid: a line is not a valid row, or the last one is truncated.
    """
    decoder = msgspec.json.Decoder(kind)
    number = 0
    try:
        with _opened(path) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    raise InputInvalid(
                        f"{path}, line {number}: the line is truncated: it has no end of line"
                    )
                yield _decoded(line, decoder)
    except FileNotFoundError as error:
        raise InputMissing(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise InputMissing(f"{path} is a folder, not a file") from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputInvalid(
            f"{path}, after line {number}: the compressed file is truncated"
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
    """Decode JSON. Lone surrogates, which many programs write, become U+FFFD.

    Raises:
        msgspec.DecodeError: it is not valid JSON.
    """
    try:
        return _without_surrogates(json.loads(data))
    except ValueError as error:
        raise msgspec.DecodeError(str(error)) from error


def encoded(row: object) -> bytes:
    """One line of JSON without its line end; lone surrogates become U+FFFD."""
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
    """Write all rows atomically; return their number."""
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
    """Appends rows to a file, unbuffered; a context manager.

    A truncated last line, left by a killed process, is removed on opening. ``sync`` calls fsync
    after each row, for rows that cost money.
    """

    def __init__(self, path: Path, *, sync: bool = False) -> None:
        self._path = path
        self._sync = sync

    def __enter__(self) -> Appender:
        drop_partial_line(self._path)
        self._file = self._path.open("ab", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, row: object) -> None:
        line = encoded(row) + b"\n"
        # A raw write may, rarely, write only a part of the line.
        while line:
            line = line[self._file.write(line) :]
        if self._sync:
            os.fsync(self._file.fileno())


def drop_partial_line(path: Path) -> None:
    """Remove what follows the last end of line. The file may be missing."""
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
