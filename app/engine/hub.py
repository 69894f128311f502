"""Downloads models from the Hugging Face hub into its cache (``HF_HOME``)."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from app.engine.room import NoRoom
from app.engine.weights import WeightsDamaged, check_weights

log = logging.getLogger(__name__)

_TEXTS = ["*.json", "*.jinja", "*.model", "*.txt"]
_WEIGHTS = ["*.safetensors"]
_NOT_LOADED = ["adapter_*", "consolidated*", "*/*"]
"""Files to leave out: vLLM would load an adapter's file beside the merged weights as weights."""


def fetch(repository: str, *, weights: bool, progress: bool = False) -> Path:
    """Download a model, or without ``weights`` its tokenizer and configuration; returns the folder.

    Files that are in the cache are not downloaded again. Without a network the cached files are
    used.

    Raises:
        NoRoom: the disk has too little free space.
        OSError: huggingface_hub's errors: model gated, not found, hub not reachable, ...
    """
    from huggingface_hub.errors import DryRunError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not progress:
        disable_progress_bars()
    try:
        _check_room(repository, weights=weights)
    except DryRunError:
        log.info("the hub does not answer: using the cached files of %s", repository)
    return _snapshot(repository, weights=weights)


def fetch_again_if_damaged(repository: str) -> Path:
    """Download a model, and once more if its weights are damaged.

    The hub's client does not notice that a cached file was truncated after its download.
    """
    folder = fetch(repository, weights=True, progress=True)
    try:
        check_weights(folder)
    except WeightsDamaged as damage:
        log.warning("%s; fetching the weights again", damage)
        folder = _snapshot(repository, weights=True, again=True)
        check_weights(folder)
    return folder


def on_disk(repository: str) -> bool:
    """Whether the whole model could be loaded without a network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            repository,
            local_files_only=True,
            allow_patterns=_TEXTS + _WEIGHTS,
            ignore_patterns=_NOT_LOADED,
        )
        check_weights(Path(folder))
    except (LocalEntryNotFoundError, HfHubHTTPError, WeightsDamaged):
        return False
    return True


def _snapshot(repository: str, *, weights: bool, again: bool = False) -> Path:
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        repository,
        allow_patterns=_TEXTS + _WEIGHTS if weights else _TEXTS,
        ignore_patterns=_NOT_LOADED,
        force_download=again,
    )
    return Path(folder)


def _check_room(repository: str, *, weights: bool) -> None:
    from huggingface_hub import constants, snapshot_download

    files = snapshot_download(
        repository,
        allow_patterns=_TEXTS + _WEIGHTS if weights else _TEXTS,
        ignore_patterns=_NOT_LOADED,
        dry_run=True,
    )
    needed = sum(file.file_size or 0 for file in files if file.will_download)
    if not needed:
        return
    cache = Path(constants.HF_HUB_CACHE)
    cache.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(cache).free
    if free < needed:
        raise NoRoom(
            f"There is no room for {repository} in {cache}: "
            f"the download needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free"
        )
    log.info("fetching %s, %.1f GB, into %s", repository, needed / 1e9, cache)
