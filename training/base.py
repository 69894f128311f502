"""The base model: a name in the recipe -> a folder on this machine."""

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
    """Where the base lies, fetched from the hub where it must be.

    Raises:
        ModelMissing: it is neither here nor to be had.
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
        raise ModelMissing(f"model.base {model.base!r} can't be had: {first_line}") from error


def unsloth_name(model: Model, sft: Sft, folder: Path) -> str:
    """What Unsloth is to open where the base lies in ``folder``.

    In 4 bit it has copies of its own, quantized layer by layer as each bears it, and finds them by
    the hub's name of the base. A folder it would quantize plainly, every layer alike.
    """
    if not sft.load_in_4bit:
        return str(folder)
    if sft.four_bit_base is not None:
        return sft.four_bit_base
    source = find_source(model.base, cpu=True)
    at_hand = source is SMOLLM2 or Path(source.location).is_dir()
    return str(folder) if at_hand else source.location


def base_tokenizer(model: Model) -> ChatTokenizer:
    """
    Raises:
        ModelMissing: there is none, or it has no chat template.
    """
    # It imports transformers.
    from app.engine.tokenizer import ChatTokenizer

    try:
        return ChatTokenizer.load(base_folder(model, tokenizer_only=True))
    except ConfigurationError as error:
        raise ModelMissing(f"model.base: {error}") from error
