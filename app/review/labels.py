"""The two verdicts, as the model's tokens."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.base import Tokenizer
from app.errors import EngineError
from app.review.template import ACCEPTANCE, REJECTION, VERDICT_LEAD


@dataclass(frozen=True, slots=True)
class Labels:
    """What follows "I recommend this paper for": `` ACC|EPT|ANCE|.`` for SmolLM2.

    The first tokens differ, and so tell the verdict.
    """

    accept: tuple[int, ...]
    reject: tuple[int, ...]


def verdict_labels(tokenizer: Tokenizer) -> Labels:
    """Derived from the tokenizer, in the verdict line's own context.

    Raises:
        EngineError: one token does not tell the verdicts apart.
    """
    lead = tokenizer.encode(VERDICT_LEAD)
    accept = tokenizer.encode(f"{VERDICT_LEAD} {ACCEPTANCE}.")
    reject = tokenizer.encode(f"{VERDICT_LEAD} {REJECTION}.")
    at = len(lead)
    if accept[:at] != lead or reject[:at] != lead or accept[at] == reject[at]:
        raise EngineError("This model's tokenizer does not tell the verdicts apart by one token.")
    return Labels(tuple(accept[at:]), tuple(reject[at:]))
