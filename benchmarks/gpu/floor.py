"""The theoretical minimum time of a review: its operations and bytes over the device's rates.

They are computed from the model's configuration: matrix products, attention, and the weights and
the KV cache that are read for each generated token. Everything else is left out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from transformers import Gemma4TextConfig

_BYTES = 2
"""bfloat16."""


@dataclass(frozen=True)
class Ceilings:
    """The rates that the device reaches with the library's matrix product and copy."""

    flops: float
    """A second, in a product of two square matrices in bfloat16."""
    bytes: float
    """A second, read and written, in a copy within its memory."""


@dataclass(frozen=True)
class Layer:
    """One decoder layer. ``window`` is None where attention goes back to the beginning."""

    parameters: int
    head_dim: int
    window: int | None


@dataclass(frozen=True)
class Cost:
    """A model's work, in floating-point operations and bytes."""

    layers: tuple[Layer, ...]
    heads: int
    kv_heads: int
    kv_layers: int
    """Layers that have a KV cache of their own; the others read it."""
    outside: int
    """Parameters that every token is multiplied by outside of the layers, but for the next."""
    head: int
    """Parameters of the product with the vocabulary."""
    tables: int
    """Parameters that are looked up and not multiplied by."""

    @classmethod
    def of(cls, config: Gemma4TextConfig) -> Cost:
        layers = tuple(_layer(config, at) for at in range(config.num_hidden_layers))
        per_layer = config.num_hidden_layers * config.hidden_size_per_layer_input
        return cls(
            layers=layers,
            heads=config.num_attention_heads,
            kv_heads=config.num_key_value_heads,
            kv_layers=config.num_hidden_layers - config.num_kv_shared_layers,
            outside=config.hidden_size * per_layer,
            head=config.hidden_size * config.vocab_size,
            tables=config.vocab_size_per_layer_input * per_layer,
        )

    @property
    def multiplied(self) -> int:
        """Parameters that every token is multiplied by, the vocabulary's aside."""
        return self.outside + sum(layer.parameters for layer in self.layers)

    @property
    def weights_bytes(self) -> int:
        """Of all weights; the product with the vocabulary shares the embedding's."""
        return _BYTES * (self.multiplied + self.head + self.tables)

    def kv_bytes(self, tokens: int) -> int:
        """Of the cache of one sequence of so many tokens."""
        return sum(self._kv(layer, tokens) for layer in self.layers[: self.kv_layers])

    def reading_flops(self, tokens: int) -> float:
        """To read a prompt."""
        attention = 0.0
        for layer in self.layers:
            window = min(layer.window or tokens, tokens)
            seen = tokens * window - window * window / 2
            attention += 4 * self.heads * layer.head_dim * seen
        return 2 * self.multiplied * tokens + attention + 2 * self.head

    def step_flops(self, tokens: int) -> float:
        """To write one token after so many."""
        seen = sum(layer.head_dim * min(layer.window or tokens, tokens) for layer in self.layers)
        return 2 * (self.multiplied + self.head) + 4 * self.heads * seen

    def step_bytes(self, tokens: int, sequences: int) -> float:
        """To write one token of each of so many sequences: the weights once, each one's cache."""
        cache = sum(self._kv(layer, tokens) for layer in self.layers)
        return _BYTES * (self.multiplied + self.head) + sequences * cache

    def seconds_a_review(
        self, ceilings: Ceilings, prompt: int, written: int, sequences: int
    ) -> tuple[float, float]:
        """To read the prompt, and to write, per review where so many are written side by side."""
        reading = self.reading_flops(prompt) / ceilings.flops
        tokens = prompt + written // 2
        step = max(
            self.step_bytes(tokens, sequences) / ceilings.bytes,
            sequences * self.step_flops(tokens) / ceilings.flops,
        )
        return reading, written * step / sequences

    def _kv(self, layer: Layer, tokens: int) -> int:
        return 2 * _BYTES * self.kv_heads * layer.head_dim * min(layer.window or tokens, tokens)


def _layer(config: Gemma4TextConfig, at: int) -> Layer:
    full = config.layer_types[at] == "full_attention"
    head_dim = config.per_layer_config[at].head_dim
    hidden = config.hidden_size
    queries = config.num_attention_heads * head_dim
    own_kv = at < config.num_hidden_layers - config.num_kv_shared_layers
    keys_and_values = 2 * config.num_key_value_heads * head_dim if own_kv else 0
    parameters = hidden * (2 * queries + keys_and_values + 3 * config.intermediate_size)
    parameters += 2 * hidden * config.hidden_size_per_layer_input
    return Layer(parameters, head_dim, None if full else config.sliding_window)


def ceilings() -> Ceilings:
    """Measured, in the calling process: a product of large matrices, and a large copy."""
    gpu = torch.cuda.is_available()
    device, side, size = ("cuda", 8192, 2**32) if gpu else ("cpu", 256, 2**24)
    left, right = (torch.randn(side, side, device=device).bfloat16() for _ in range(2))
    product = _seconds(lambda: left @ right, gpu=gpu)
    source = torch.empty(size, dtype=torch.uint8, device=device).random_()
    target = torch.empty_like(source)
    copy = _seconds(lambda: target.copy_(source), gpu=gpu)
    return Ceilings(2 * side**3 / product, 2 * size / copy)


def _seconds(work: object, *, gpu: bool) -> float:
    """The median of ten runs after three."""
    assert callable(work)
    took: list[float] = []
    for _ in range(13):
        began = time.perf_counter()
        work()
        if gpu:
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    return sorted(took[3:])[5]
