"""The verdict's probability, read from the model at the word that decides.

The review is continued up to "I recommend this paper for", and the model is asked for the next
token's distribution: one token, everything before it in the prefix cache. The log-probabilities of
a constrained generation can't be used instead: the constraint changes how the text is tokenized.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.engine.base import Engine, LabelRead, Message
from app.review.labels import verdict_labels
from app.review.parse import ParsedReview
from app.review.template import VERDICT_HEADING, VERDICT_LEAD

_LARGEST_EXPONENT = 700.0
"""``exp`` of more is no float."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the model leans. ``mass`` is the share that it gives each label among all tokens."""

    probability: float
    mass: Mapping[str, float]


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
    labels = verdict_labels(engine.tokenizer)
    accept_token, reject_token = labels.accept[0], labels.reject[0]
    found = await engine.read_labels(
        LabelRead(request_id, messages, prefix, (accept_token, reject_token))
    )
    if len(found) < 2:
        return None
    accept, reject = found[accept_token], found[reject_token]
    # Softmax of the two, by their difference: the masses themselves may be tiny.
    probability = 1 / (1 + math.exp(min(reject - accept, _LARGEST_EXPONENT)))
    return Reading(probability, {"accept": math.exp(accept), "reject": math.exp(reject)})
