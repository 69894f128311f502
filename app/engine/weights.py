"""Checks that a folder's safetensors files are complete, by their headers.

This takes milliseconds. A loader would fail only after a minute, without naming the file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from app.errors import ReviewerError

_CONTENT = ("config.json", "chat_template.jinja", "tokenizer.json")
_PIECES, _PIECE = 256, 65536
"""How many, and bytes of each."""
_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000
"""In bytes, by the format's definition."""


class WeightsDamaged(ReviewerError):
    """Weight files are missing or damaged."""

    code = "weights_damaged"


def content_of(folder: Path) -> str:
    """A fingerprint of the model in a folder, whatever the folder is called.

    SHA-256 over the configuration, the tokenizer and, of each file of weights, its size and
    pieces spread over it: training changes weights everywhere. A second for gigabytes.
    """
    digest = hashlib.sha256()
    for name in _CONTENT:
        file = folder / name
        if file.is_file():
            digest.update(f"{name}\0".encode() + file.read_bytes())
    for path in sorted(folder.glob("*.safetensors")):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file_of_weights:
            for piece in range(_PIECES):
                file_of_weights.seek(max(0, size - _PIECE) * piece // (_PIECES - 1))
                digest.update(file_of_weights.read(_PIECE))
    return digest.hexdigest()


def check_weights(folder: Path) -> None:
    """Check all weight files of a model folder.

    Raises:
        WeightsDamaged: names the file, and what is wrong with it.
    """
    index = folder / "model.safetensors.index.json"
    names = (
        sorted(_indexed(index))
        if index.is_file()
        else [path.name for path in sorted(folder.glob("*.safetensors"))]
    )
    if not names:
        raise WeightsDamaged(f"{folder} has no weights: no *.safetensors file")
    for name in names:
        _check_file(folder / name)


def _indexed(index: Path) -> set[str]:
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError) as error:
        raise WeightsDamaged(f"{index} is not an index of weights") from error


def _check_file(path: Path) -> None:
    """See https://huggingface.co/docs/safetensors, "Format"."""
    if not path.is_file():
        raise WeightsDamaged(f"{path} is missing")
    size = path.stat().st_size
    with path.open("rb") as file:
        header_size = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 0 < header_size <= min(_LONGEST_HEADER, size):
            raise WeightsDamaged(f"{path} is not a safetensors file, or only the start of one")
        expected = _LENGTH_BYTES + header_size + _data_size(file.read(header_size), path)
    if size != expected:
        raise WeightsDamaged(
            f"{path} is cut short or damaged: it has {size:,} of {expected:,} bytes"
        )


def _data_size(header: bytes, path: Path) -> int:
    try:
        tensors: dict[str, Any] = json.loads(header)
        ends = [one["data_offsets"][1] for name, one in tensors.items() if name != "__metadata__"]
        return max(ends, default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise WeightsDamaged(f"{path} has a damaged header") from error
