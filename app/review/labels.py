"""The tokens of the two verdict words."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.base import Tokenizer
from app.errors import EngineError
from app.review.template import ACCEPTANCE, REJECTION, VERDICT_LEAD


@dataclass(frozen=True, slots=True)
class Labels:
    """The token ids that follow "I recommend this paper for": `` ACC|EPT|ANCE|.`` for SmolLM2.

    The first tokens of the two differ, so the first token decides the verdict.
    """

    accept: tuple[int, ...]
    reject: tuple[int, ...]


def verdict_labels(tokenizer: Tokenizer) -> Labels:
    """The labels' tokens as the tokenizer makes them within the verdict line.

    Raises:
        EngineError: the labels begin with the same token, or merge with the text before them.
    """
    lead = tokenizer.encode(VERDICT_LEAD)
    accept = tokenizer.encode(f"{VERDICT_LEAD} {ACCEPTANCE}.")
    reject = tokenizer.encode(f"{VERDICT_LEAD} {REJECTION}.")
    at = len(lead)
    if accept[:at] != lead or reject[:at] != lead or accept[at] == reject[at]:
        raise EngineError("This model's tokenizer begins both verdicts with the same token.")
    return Labels(tuple(accept[at:]), tuple(reject[at:]))
