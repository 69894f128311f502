"""The verdict: a decision, and the model's probability of acceptance at the deciding word.

The review is continued up to "I recommend this paper for", and the engine is asked for the
probabilities of the next token. That costs one token, as the prefix cache holds everything before
it. The log-probabilities of a constrained generation can't be used instead: the constraint changes
how the text is tokenized.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from app.engine.base import Engine, Message, NextTokenQuery, Usage
from app.review.calibration import Calibration
from app.review.decision import Decision
from app.review.labels import verdict_labels
from app.review.template import VERDICT_HEADING, VERDICT_LEAD

_LARGEST_EXPONENT = 700.0
"""``math.exp`` of a larger number overflows."""


@dataclass(frozen=True, slots=True)
class VerdictReading:
    """The model's verdict on one sample. ``probability`` is that of acceptance, from 0 to 1; None
    if the engine returns no log-probabilities.

    ``mass`` is the probability of each label's first token among all tokens.
    """

    probability: float | None
    mass: Mapping[str, float]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Mass:
    """The probability of each label's first token among all possible next tokens."""

    accept: float
    reject: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """``decision`` is ``undecided`` within the abstain band, and None if neither the text nor a
    probability gives one.

    ``probability`` is that of acceptance: the mean of ``samples``, mapped by the calibration if
    there is one. ``source`` is ``review_line`` if the text states the decision, and ``probe`` if
    the decision is the likelier label.
    """

    decision: Decision | Literal["undecided"] | None
    probability: float | None
    mass: Mass | None
    calibration: str | None
    source: Literal["review_line", "probe"] | None
    samples: tuple[float, ...]
    mean: float | None
    spread: float | None
    """Standard deviation of the samples; None for fewer than two."""

    @property
    def calibrated(self) -> bool:
        return self.calibration is not None


def up_to_the_verdict(text: str, verdict_at: int | None) -> str:
    """The review up to the deciding word. A review without a verdict line gets the line's start."""
    if verdict_at is not None:
        return f"{text[:verdict_at]}{VERDICT_LEAD}"
    body = text.rstrip()
    heading = f"## {VERDICT_HEADING}"
    if not body.endswith(heading):
        body = f"{body}\n\n{heading}" if body else heading
    return f"{body}\n{VERDICT_LEAD}"


async def read_verdict(
    engine: Engine,
    messages: Sequence[Message],
    prefix: str,
    request_id: str,
    cache_salt: str | None = None,
) -> VerdictReading:
    """Ask the engine for the probability of acceptance after ``prefix``."""
    labels = verdict_labels(engine.tokenizer)
    accept_token, reject_token = labels.accept[0], labels.reject[0]
    found = await engine.next_token_logprobs(
        NextTokenQuery(request_id, messages, prefix, (accept_token, reject_token), cache_salt)
    )
    if len(found.by_token) < 2:
        return VerdictReading(None, {}, found.usage)
    accept, reject = found.by_token[accept_token], found.by_token[reject_token]
    # Softmax over the two, from their difference: the probabilities themselves may underflow.
    probability = 1 / (1 + math.exp(min(reject - accept, _LARGEST_EXPONENT)))
    mass = {"accept": math.exp(accept), "reject": math.exp(reject)}
    return VerdictReading(probability, mass, found.usage)


def nearest_the_mean(readings: Sequence[VerdictReading]) -> int:
    """Index of the sample whose probability is nearest to the mean; the first of equals."""
    known = [(i, r.probability) for i, r in enumerate(readings) if r.probability is not None]
    if not known:
        return 0
    mean = fmean(probability for _, probability in known)
    return min(known, key=lambda of: abs(of[1] - mean))[0]


@dataclass(frozen=True, slots=True)
class Confidence:
    """How probabilities become a verdict: the calibration, and the abstain band.

    A probability within ``band``, its ends included, gives the decision ``undecided``.
    """

    calibration: Calibration | None = None
    band: tuple[float, float] | None = None

    def verdict(
        self, decision: Decision | None, readings: Sequence[VerdictReading], shown: int
    ) -> Verdict:
        """The verdict over all samples. ``decision`` is what the text of sample ``shown``
        states.
        """
        samples = [r.probability for r in readings if r.probability is not None]
        mean = fmean(samples) if samples else None
        probability = mean
        if self.calibration and mean is not None:
            probability = self.calibration.map.apply(mean)
        mass = readings[shown].mass if readings else None
        return Verdict(
            decision=self._undecided(probability) or decision or _likelier(probability),
            probability=probability,
            mass=Mass(**mass) if mass else None,
            calibration=self.calibration.name if self.calibration and samples else None,
            source="review_line" if decision else "probe" if samples else None,
            samples=tuple(samples),
            mean=mean,
            spread=stdev(samples) if len(samples) > 1 else None,
        )

    def _undecided(self, probability: float | None) -> Literal["undecided"] | None:
        if self.band is None or probability is None:
            return None
        return "undecided" if self.band[0] <= probability <= self.band[1] else None


def _likelier(probability: float | None) -> Decision | None:
    if probability is None:
        return None
    return "accept" if probability >= 0.5 else "reject"
