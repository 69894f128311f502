"""Finds a model's files by its name: an alias, a local folder, a hub id, or a file about it."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import shutil
import time
from pathlib import Path

from filelock import FileLock, Timeout
from msgspec.structs import replace

from app.engine import hub
from app.engine.base import Sampling
from app.engine.conversion import VERSION, convert
from app.engine.model_entry import (
    HUB_ID,
    GgufFile,
    InstalledFile,
    ModelSource,
    catalogue,
    read_entry,
)
from app.engine.model_file import BringingStopped, Stopping, brought_file, never, sha256_of
from app.engine.room import check_disk
from app.engine.weights import WeightsDamaged, check_weights
from app.errors import ConfigurationError

log = logging.getLogger(__name__)

INSTALL_CPU = "pip install --no-deps --require-hashes -r requirements/cpu-wheels.txt"
_LOOK_S = 0.2

ALIASES = catalogue()
GEMMA_REVIEWER = ALIASES["gemma-reviewer"]
QWEN = ALIASES["qwen2.5-coder-1.5b"]
SMOLLM2 = ALIASES["smollm2"]


def find_source(name: str, *, cpu: bool) -> ModelSource:
    """The source of the model that the settings name. Downloads nothing.

    Raises:
        ConfigurationError: the name is neither an alias, nor an existing folder, nor a hub id, nor
            a TOML file.
    """
    if name == "auto":
        return QWEN if cpu else GEMMA_REVIEWER
    if name in ALIASES:
        return ALIASES[name]
    path = Path(name).expanduser()
    if path.suffix == ".toml" and path.is_file():
        return read_entry(path)
    if name and path.is_dir():
        if not (path / "config.json").is_file():
            raise ConfigurationError(f"model folder {name} has no config.json", param="model")
        return ModelSource(name=path.resolve().name, location=str(path.resolve()))
    if HUB_ID.fullmatch(name):
        known = next((entry for entry in ALIASES.values() if entry.hub == name), ModelSource())
        return replace(known, name=known.name or name, location=name, gguf=None, disk_gb=None)
    raise ConfigurationError(
        f"model {name!r} is neither an alias ({', '.join(ALIASES)}), nor a folder, nor a hub id "
        "like owner/name, nor a TOML file that describes a model",
        param="model",
    )


def locate(
    source: ModelSource, cache_dir: Path, *, weights: bool = True, stopping: Stopping = never
) -> Path:
    """The model's folder; the model is downloaded and converted if necessary.

    With ``weights=False`` the folder may contain only the tokenizer and the configuration, from
    the hub. May be called from several processes at once: one works, the others wait.

    Raises:
        ConfigurationError: the model's package is not installed.
        WeightsDamaged: weights are missing or damaged.
        NoRoom, OSError, ReviewerError: see :func:`app.engine.hub.fetch` and
            :func:`app.engine.model_file.brought_file`.
    """
    if not weights and source.hub and not on_disk(source, cache_dir):
        return hub.fetch(source.hub, weights=False)
    if source.gguf:
        return _converted(source, source.gguf, cache_dir, stopping)
    folder = Path(source.location)
    if not folder.is_absolute():
        folder = hub.fetch(source.location, weights=weights)
    if weights:
        check_weights(folder)
    return folder


def pulled(source: ModelSource, cache_dir: Path) -> Path:
    """Like :func:`locate`, with a progress bar; damaged weights are downloaded again."""
    if source.location and not Path(source.location).is_absolute():
        return hub.fetch_again_if_damaged(source.location)
    return locate(source, cache_dir)


def _converted(source: ModelSource, gguf: GgufFile, cache_dir: Path, stopping: Stopping) -> Path:
    folder = converted_folder(source, cache_dir)
    if _is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(f"{folder.name}.lock"))
    _acquire(lock, source.name, stopping)
    try:
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
            _bring(source, gguf, folder, stopping)
    finally:
        lock.release()
    return folder


def _acquire(lock: FileLock, name: str, stopping: Stopping) -> None:
    """Wait for another process that brings the model."""
    told = False
    while True:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not told:
                log.info("%s: another process is bringing it; waiting", name)
            told = True
            if stopping():
                raise BringingStopped("The service is stopping.") from None
            time.sleep(_LOOK_S)
        else:
            return


def _is_whole(folder: Path) -> bool:
    """Whether the folder is there, its weights complete: a power cut may have cut them short."""
    if not folder.is_dir():
        return False
    try:
        check_weights(folder)
    except WeightsDamaged as damage:
        log.warning("%s; converting it again", damage)
        return False
    return True


def _bring(source: ModelSource, gguf: GgufFile, folder: Path, stopping: Stopping) -> None:
    """Get the model's file and convert it to ``folder``."""
    parts = folder.with_name(f"{folder.name}.parts")
    if gguf.installed:
        file = _installed(gguf.installed, gguf.sha256)
    else:
        parts.mkdir(exist_ok=True)
        check_disk(source, parts, sum(path.stat().st_size for path in parts.iterdir()))
        log.info("%s: bringing it, once, into %s", source.name, folder)
        file = brought_file(source.name, gguf, parts, stopping)
    log.info("%s: converting it to safetensors, once; this takes up to two minutes", source.name)
    convert(gguf, file, folder, source.sampling)
    shutil.rmtree(parts, ignore_errors=True)


def converted_folder(source: ModelSource, cache_dir: Path) -> Path:
    """The folder of a converted model; its name depends on the GGUF file and the conversion."""
    sha256 = source.gguf.sha256 if source.gguf else ""
    return cache_dir / "models" / f"{source.name}-{sha256[:12]}-{VERSION}"


def _installed(file: InstalledFile, sha256: str) -> Path:
    """The file of an installed package, after checking its hash."""
    try:
        package = importlib.metadata.distribution(file.package)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            f"the package {file.package} is not installed: {INSTALL_CPU}", param="model"
        ) from error
    path = Path(str(package.locate_file(file.file)))
    digest = sha256_of(path)
    if digest != sha256:
        raise ConfigurationError(
            f"{path} has SHA-256 {digest}, not the pinned {sha256}: not using it", param="model"
        )
    return path


def sampling_of(source: ModelSource, folder: Path) -> Sampling:
    """The source's sampling; its ``top_k`` by default that of generation_config.json.

    Gemma's is 64. Servers apply it by default; vLLM in this process needs it in each request.
    """
    if source.sampling.top_k is not None:
        return source.sampling
    try:
        config = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        top_k = config.get("top_k")
    except (OSError, ValueError, AttributeError):
        return source.sampling
    known = isinstance(top_k, int) and top_k >= 0
    return replace(source.sampling, top_k=top_k if known else None)


def on_disk(source: ModelSource, cache_dir: Path) -> bool:
    """Whether the model could be loaded without a network."""
    if source.gguf:
        return converted_folder(source, cache_dir).is_dir()
    return hub.on_disk(source.location)
