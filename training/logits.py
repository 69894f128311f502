"""Compares the next-token distributions of two models on the same texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from training.examples import Example


@dataclass(frozen=True, slots=True)
class Probe:
    """A text. The distributions at its last ``compared`` tokens are compared."""

    ids: list[int]
    compared: int

    @classmethod
    def of(cls, example: Example, most_tokens: int) -> Probe:
        """A prompt with its review. The middle is left out above ``most_tokens`` tokens."""
        review = example.answer[-(most_tokens // 2) :]
        return cls(example.prompt[: most_tokens - len(review)] + review, len(review))


@dataclass(frozen=True, slots=True)
class Divergence:
    """Over all positions of all probes: the mean and the maximum Kullback-Leibler divergence in
    nats, and the share of positions with the same likeliest token.
    """

    mean: float
    most: float
    same_best: float

    def as_counts(self) -> dict[str, float]:
        return {name: float(f"{value:.4g}") for name, value in asdict(self).items()}


def log_probabilities(model: Any, probes: Sequence[Probe]) -> list[torch.Tensor]:
    """For each probe a float32 tensor of positions by vocabulary, in main memory."""
    model.eval()
    return list(_each(model, probes))


def _each(model: Any, probes: Sequence[Probe]) -> Iterator[torch.Tensor]:
    for probe in probes:
        ids = torch.tensor([probe.ids], device=model.device)
        with torch.inference_mode():
            # The last position predicts the token after the text.
            logits = model(input_ids=ids, logits_to_keep=probe.compared + 1).logits[0, :-1]
        yield logits.float().log_softmax(-1).cpu()


def divergence(reference: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> Divergence:
    """KL(reference || other), summed over the vocabulary in float64."""
    each, same = [], []
    for one, other in zip(reference, others, strict=True):
        each.append((one.double().exp() * (one.double() - other.double())).sum(-1))
        same.append(one.argmax(-1) == other.argmax(-1))
    positions, best = torch.cat(each), torch.cat(same)
    return Divergence(float(positions.mean()), float(positions.max()), float(best.float().mean()))


def largest_change(reference: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> float:
    """The largest change in the log-probability of the reference's likeliest token, in nats."""
    changes = []
    for one, other in zip(reference, others, strict=True):
        best = one.argmax(-1, keepdim=True)
        changes.append(float((one.gather(-1, best) - other.gather(-1, best)).abs().max()))
    return max(changes)
