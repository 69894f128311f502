"""Converts a GGUF file, which vLLM can't load, to a folder of safetensors and tokenizer."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from app.engine.base import Sampling
from app.engine.model_entry import GgufFile

if TYPE_CHECKING:
    import torch

VERSION = 3
"""Of the conversion: a folder that another version made is not used."""
_SCRATCH = ".converting-"


def convert(gguf: GgufFile, file: Path, folder: Path, sampling: Sampling) -> None:
    """Dequantize to bfloat16 safetensors in ``folder``, which is created atomically.

    bfloat16 is what the makers' own weights have, so the smallest that loses nothing but what the
    quantization has lost already. One at a time: what an interrupted conversion has left beside
    ``folder`` is deleted.
    """
    for left in folder.parent.glob(f"{_SCRATCH}{folder.name}-*"):
        shutil.rmtree(left, ignore_errors=True)
    from transformers.utils.logging import disable_progress_bar

    scratch = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{folder.name}-", dir=folder.parent))
    try:
        if not sys.stderr.isatty():
            disable_progress_bar()
        ends = _write_tokenizer(gguf, file, scratch)
        _write_weights(gguf, file, scratch, sampling, ends)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _write_weights(
    gguf: GgufFile, file: Path, folder: Path, sampling: Sampling, ends: list[int]
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    model = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.config.quantization_config = None
    if gguf.tied:
        model.config.tie_word_embeddings = True
        model.set_input_embeddings(_embedding(model.get_output_embeddings().weight))
        model.tie_weights()
    # vLLM's chat takes its defaults from here; the GGUF file has none.
    own = {name: value for name, value in asdict(sampling).items() if value is not None}
    model.generation_config.update(do_sample=True, eos_token_id=ends, **own)
    model.save_pretrained(folder)


def _embedding(weight: torch.nn.Parameter) -> torch.nn.Embedding:
    import torch

    rows, width = weight.shape
    embedding = torch.nn.Embedding(rows, width, device="meta")
    embedding.weight = weight
    return embedding


def _write_tokenizer(gguf: GgufFile, file: Path, folder: Path) -> list[int]:
    """Returns the ids of the tokens that end an answer."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    tokenizer.eos_token, tokenizer.pad_token = gguf.end_of_turn, gguf.padding
    tokenizer.clean_up_tokenization_spaces = False
    tokenizer.save_pretrained(folder)
    ends = (gguf.end_of_turn, gguf.padding)
    return sorted({int(tokenizer.convert_tokens_to_ids(token)) for token in ends})
