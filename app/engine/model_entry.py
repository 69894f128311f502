"""What the service knows of a model: where its files come from, how it samples, what it is worth.

An entry is a TOML file; those in ``catalogue/`` come with the service. Fields of an entry that is
read from elsewhere are the same, so that an operator can write one for a model of their own.
"""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated

import msgspec
from msgspec import Meta

from app.engine.base import Sampling
from app.errors import ConfigurationError

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
Count = Annotated[int, Meta(ge=1)]
Gigabytes = Annotated[float, Meta(gt=0)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Piece = Annotated[str, Meta(pattern=r"^[\w.-]+==[\w.!+-]+ --hash=sha256:[0-9a-f]{64}$")]
"""A package of exactly one version and hash, as pip's requirement files have it."""


class InstalledFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file in an installed Python package."""

    package: str
    file: str


class GgufFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A GGUF file that is converted once. It is in an installed package, or in ``pieces``.

    ``end_of_turn`` and ``padding`` are tokens. If ``tied``, the model's embedding is the output
    matrix.
    """

    sha256: Sha256
    size: Count
    end_of_turn: str
    padding: str
    tied: bool = False
    installed: InstalledFile | None = None
    pieces: tuple[Piece, ...] = ()


class ModelSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from, and its defaults, which settings override.

    ``location`` is a hub id or an absolute folder; empty if there is ``gguf`` instead. ``hub`` is
    the id of the same model on the hub. ``notice`` is added to each of its reviews. ``disk_gb`` is
    the room for bringing the model, ``memory_gb`` what the service needs with it.
    """

    name: str = ""
    location: str = ""
    hub: str = ""
    about: str = ""
    notice: str = ""
    max_tokens: Count = 1400
    max_prompt_tokens: Count | None = None
    disk_gb: Gigabytes | None = None
    memory_gb: Gigabytes | None = None
    sampling: Sampling = Sampling()
    gguf: GgufFile | None = None

    @property
    def also_named(self) -> tuple[str, ...]:
        """Other names that a client may use: the hub id. A local folder's path is not one."""
        hub = HUB_ID.fullmatch(self.location) and self.location != self.name
        return (self.location,) if hub else ()


def read_entry(path: Traversable) -> ModelSource:
    """The model that a file describes; its name is the file's without ``.toml``.

    Raises:
        ConfigurationError: the file is not an entry, or says nothing of the model's files.
    """
    try:
        entry = msgspec.toml.decode(path.read_bytes(), type=ModelSource)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise ConfigurationError(f"model file {path}: {error}", param="model") from error
    gguf = entry.gguf
    if bool(entry.location) == bool(gguf) or (gguf and bool(gguf.installed) == bool(gguf.pieces)):
        raise ConfigurationError(
            f"model file {path}: it needs either location, or gguf with either installed or pieces",
            param="model",
        )
    return msgspec.structs.replace(entry, name=path.name.removesuffix(".toml"))


def catalogue() -> dict[str, ModelSource]:
    """The entries that come with the service, by name."""
    folder = files("app.engine") / "catalogue"
    entries = [read_entry(path) for path in folder.iterdir() if path.name.endswith(".toml")]
    return {entry.name: entry for entry in sorted(entries, key=lambda entry: entry.name)}
