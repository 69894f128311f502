"""Model folders in the published model's shape: a Gemma 4 text model with Gemma's own vocabulary.

The published weights are not available everywhere. What does not depend on their values (loading,
constrained generation, speed) is tested and measured with random weights.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import Gemma4ForCausalLM, Gemma4TextConfig, GenerationConfig

from app.settings import Settings
from tests import vocabularies

BLANK_LINE, HEADING = 108, 1408
"""``\\n\\n`` and ``##``, with which a section ends."""
STOP_TOKENS = (1, 106, 50)
"""End of text, end of a turn, and where a tool is to answer: Gemma 4's generation_config."""
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|turn>{{ 'model' if message.role == 'assistant' else message.role }}\n"
    "{{ message.content | trim }}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)
"""Gemma 4's own, as far as texts go: it has parts for thoughts, tools and media besides."""
_LIKING = 0.5
_QUIET = 0.05


def e4b() -> Gemma4TextConfig:
    """The text part of Gemma 4 E4B: 7.46 billion parameters."""
    return Gemma4TextConfig(
        hidden_size=2560,
        intermediate_size=10240,
        num_hidden_layers=42,
        layer_types=[*["sliding_attention"] * 5, "full_attention"] * 7,
        num_attention_heads=8,
        num_key_value_heads=2,
        head_dim=256,
        global_head_dim=512,
        num_kv_shared_layers=18,
        hidden_size_per_layer_input=256,
        sliding_window=512,
        final_logit_softcapping=30.0,
    )


def tiny() -> Gemma4TextConfig:
    """A small model with Gemma 4's features: two layer types, shared KV, per-layer embeddings."""
    return Gemma4TextConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=6,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"] * 2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        global_head_dim=64,
        num_kv_shared_layers=3,
        hidden_size_per_layer_input=8,
        sliding_window=64,
        final_logit_softcapping=30.0,
    )


def write_folder(folder: Path, config: Gemma4TextConfig) -> Path:
    """Write a model folder without weights, for ``load_format="dummy"``."""
    tokenizer = vocabularies.gemma(Settings().cache_dir / "vocabularies")
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    config.architectures = ["Gemma4ForCausalLM"]
    config.dtype = torch.bfloat16
    config.save_pretrained(folder)
    GenerationConfig(
        bos_token_id=2,
        eos_token_id=list(STOP_TOKENS),
        pad_token_id=0,
        do_sample=True,
        temperature=1.0,
        top_k=64,
        top_p=0.95,
    ).save_pretrained(folder)
    return folder


def write_tiny_model(folder: Path, likes: Iterable[int] = ()) -> Path:
    """Write a folder of the tiny shape with random weights that prefer the tokens of ``likes``.

    Without a preference, a random model would practically never end a section, as it chooses among
    262,144 tokens.
    """
    torch.manual_seed(7)
    model = Gemma4ForCausalLM(tiny()).to(torch.bfloat16)
    with torch.no_grad():
        # Nearly all that the last layer puts out lies in one direction, in which those tokens go
        # further than the others.
        for name, weight in model.named_parameters():
            if ".post_" in name and name.endswith("norm.weight"):
                weight.fill_(_QUIET)
        embedding = model.get_input_embeddings().weight
        embedding[:, 0] = 1
        embedding[list(likes), 0] += _LIKING
    model.save_pretrained(folder)
    return write_folder(folder, tiny())
