"""Finds the base model that a recipe names, and downloads it if necessary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from app.engine.models import SMOLLM2, find_source, locate
from app.errors import ConfigurationError
from app.settings import load_settings
from training.errors import ModelMissing
from training.recipe import Model, Sft

if TYPE_CHECKING:
    from app.engine.tokenizer import ChatTokenizer

_TOKENIZER_FILES = ["*.json", "*.jinja", "*.model", "*.txt"]


def base_folder(model: Model, *, tokenizer_only: bool = False) -> Path:
    """The folder of the base model; a hub id is downloaded if it is not in the cache.

    Raises:
        ModelMissing: it is not on this machine and can't be downloaded.
    """
    try:
        source = find_source(model.base, cpu=True)
        if source is SMOLLM2:
            return Path(locate(source, load_settings().cache_dir))
        if Path(source.location).is_dir():
            return Path(source.location)
        return Path(
            snapshot_download(
                source.location,
                revision=model.revision,
                allow_patterns=_TOKENIZER_FILES if tokenizer_only else None,
            )
        )
    except ConfigurationError as error:
        raise ModelMissing(f"model.base: {error}") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise ModelMissing(
            f"model.base {model.base!r} can't be downloaded: {first_line}"
        ) from error


def unsloth_name(model: Model, sft: Sft, folder: Path) -> str:
    """The name or path of the base that is passed to Unsloth; ``folder`` is the base's folder.

    For 4-bit training Unsloth publishes copies with a quantization chosen for each layer, and finds
    them by the hub id of the base. A folder it quantizes itself, all layers in the same way.
    """
    if not sft.load_in_4bit:
        return str(folder)
    if sft.four_bit_base is not None:
        return sft.four_bit_base
    source = find_source(model.base, cpu=True)
    is_local = source is SMOLLM2 or Path(source.location).is_dir()
    return str(folder) if is_local else source.location


def base_tokenizer(model: Model) -> ChatTokenizer:
    """The base model's tokenizer.

    Raises:
        ModelMissing: the base has no tokenizer, or the tokenizer has no chat template.
    """
    # This module imports transformers, which takes seconds.
    from app.engine.tokenizer import ChatTokenizer

    try:
        return ChatTokenizer.load(base_folder(model, tokenizer_only=True))
    except ConfigurationError as error:
        raise ModelMissing(f"model.base: {error}") from error
