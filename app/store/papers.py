"""Stores papers in a folder under the SHA-256 of their bytes, so that each is stored once."""

from __future__ import annotations

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.errors import StorageFull, StoreUnavailable, is_full_disk

_UNFINISHED = ".part"
_MARK = "this-is-the-folder-of-papers"
"""A file in the folder. A folder without it may be an empty mount point, or another folder."""


def sha256_of(data: bytes) -> str:
    """The hash under which these bytes are stored."""
    return hashlib.sha256(data).hexdigest()


class PaperFiles:
    """The folder of papers. Its files are readable only by the service's user. Methods block."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.mark = folder / _MARK

    def create(self) -> None:
        """Create the folder with its marker file, unless they exist.

        Raises:
            StorageFull: the disk is full.
            StoreUnavailable: the folder can't be written to.
        """
        with _os_errors_as_ours():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.mark.touch(mode=0o600)

    def check(self) -> None:
        """Check that the folder can be written to.

        Raises:
            StorageFull: the disk is full.
            StoreUnavailable: the folder is missing, or can't be written to.
        """
        self._check_there()
        probe = self._folder / f"{uuid.uuid4().hex}{_UNFINISHED}"
        with _os_errors_as_ours():
            try:
                probe.write_bytes(b"\0")
            finally:
                probe.unlink(missing_ok=True)

    def _check_there(self) -> None:
        if not self.is_marked():
            raise StoreUnavailable("The folder of papers is missing.")

    def is_marked(self) -> bool:
        """Whether the marker file exists, which an empty mount point does not have."""
        with _os_errors_as_ours():
            return self.mark.exists()

    def is_empty(self) -> bool:
        with _os_errors_as_ours():
            return next(self._folder.glob("??/*"), None) is None

    def path(self, blob_sha256: str) -> Path:
        return self._folder / blob_sha256[:2] / blob_sha256

    def save(self, blob_sha256: str, data: bytes, *, durable: bool = False) -> None:
        """Store a paper atomically. With ``durable`` it survives a power cut.

        Raises:
            StorageFull: the disk is full.
            StoreUnavailable: the folder can't be written to.
        """
        path = self.path(blob_sha256)
        with _os_errors_as_ours():
            if not path.exists():
                self._check_there()
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                part = path.with_name(f"{uuid.uuid4().hex}{_UNFINISHED}")
                try:
                    part.touch(mode=0o600)
                    part.write_bytes(data)
                    part.replace(path)
                except OSError:
                    part.unlink(missing_ok=True)
                    raise
            if durable:
                _sync(path)
                _sync(path.parent)

    def open(self, blob_sha256: str) -> BinaryIO | None:
        """Open a paper; None if it does not exist. It stays readable if it is removed meanwhile.

        Raises:
            StoreUnavailable: the folder can't be read.
        """
        with _os_errors_as_ours():
            try:
                return self.path(blob_sha256).open("rb")
            except FileNotFoundError:
                self._check_there()
                return None

    def load(self, blob_sha256: str) -> bytes | None:
        """Read a whole paper; otherwise like :meth:`open`."""
        file = self.open(blob_sha256)
        if file is None:
            return None
        with _os_errors_as_ours(), file:
            return file.read()

    def has(self, blob_sha256: str) -> bool:
        return self.path(blob_sha256).exists()

    def remove(self, blob_sha256: str) -> None:
        with _os_errors_as_ours():
            self.path(blob_sha256).unlink(missing_ok=True)

    def untouched(self, seconds: float) -> Iterator[str]:
        """Hashes of papers older than ``seconds``. Incomplete files of that age are removed."""
        before = time.time() - seconds
        for path in self._folder.glob("??/*"):
            try:
                old = path.stat().st_mtime < before
            except FileNotFoundError:
                continue
            if old and path.suffix == _UNFINISHED:
                path.unlink(missing_ok=True)
            elif old:
                yield path.name


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def _os_errors_as_ours() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if is_full_disk(error):
            raise StorageFull("The data folder's disk is full.") from error
        raise StoreUnavailable("The data folder can't be used.") from error
