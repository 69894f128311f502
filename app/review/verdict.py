"""The verdict's probability, read from the model at the word that decides.

The review is continued up to "I recommend this paper for", and the model is asked for the next
token's distribution: one token, everything before it in the prefix cache. The log-probabilities of
a constrained generation can't be used instead: the constraint changes how the text is tokenized.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.engine.base import Engine, LabelRead, Message, Tokenizer
from app.errors import EngineError
from app.review.parse import ParsedReview
from app.review.template import ACCEPTANCE, REJECTION, VERDICT_HEADING, VERDICT_LEAD


@dataclass(frozen=True, slots=True)
class LabelTokens:
    """The two tokens at which the verdicts first differ: `` ACC`` and `` RE``, for SmolLM2."""

    accept: int
    reject: int


@dataclass(frozen=True, slots=True)
class Reading:
    """How the model leans. ``mass`` is the share that it gives each label among all tokens."""

    probability: float
    mass: Mapping[str, float]


def label_tokens(tokenizer: Tokenizer) -> LabelTokens:
    """Where the tokenizer lets the two verdicts differ.

    Raises:
        EngineError: only after the lead's end do they differ, so that one token can't tell them.
    """
    lead = tokenizer.encode(VERDICT_LEAD)
    accept = tokenizer.encode(f"{VERDICT_LEAD} {ACCEPTANCE}.")
    reject = tokenizer.encode(f"{VERDICT_LEAD} {REJECTION}.")
    at = len(lead)
    if accept[:at] != lead or reject[:at] != lead or accept[at] == reject[at]:
        raise EngineError("This model's tokenizer does not separate the two verdicts by one token.")
    return LabelTokens(accept[at], reject[at])


def up_to_the_verdict(text: str, parsed: ParsedReview) -> str:
    """The review, open at the deciding word; the line is begun where the review has none."""
    if parsed.verdict_at is not None:
        return f"{text[: parsed.verdict_at]}{VERDICT_LEAD}"
    body = text.rstrip()
    heading = f"## {VERDICT_HEADING}"
    if not body.endswith(heading):
        body = f"{body}\n\n{heading}" if body else heading
    return f"{body}\n{VERDICT_LEAD}"


async def read_verdict(
    engine: Engine, messages: Sequence[Message], prefix: str, request_id: str
) -> Reading | None:
    """The model's probability of acceptance; None where the engine can't tell it."""
    tokens = label_tokens(engine.tokenizer)
    found = await engine.read_labels(
        LabelRead(request_id, messages, prefix, (tokens.accept, tokens.reject))
    )
    if len(found) < 2:
        return None
    accept, reject = math.exp(found[tokens.accept]), math.exp(found[tokens.reject])
    if accept + reject == 0:
        return None
    # Softmax of the two, by their difference: the masses themselves may be tiny.
    probability = 1 / (1 + math.exp(found[tokens.reject] - found[tokens.accept]))
    return Reading(probability, {"accept": accept, "reject": reject})
