"""The verdict: a decision, and the model's probability of acceptance at the word that decides.

The review is continued up to "I recommend this paper for", and the model is asked for the next
token's distribution: one token, everything before it in the prefix cache. The log-probabilities of
a constrained generation can't be used instead: the constraint changes how the text is tokenized.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from app.engine.base import Engine, LabelRead, Message, Usage
from app.review.calibration import Calibration
from app.review.decision import Decision
from app.review.labels import verdict_labels
from app.review.template import VERDICT_HEADING, VERDICT_LEAD

_LARGEST_EXPONENT = 700.0
"""``exp`` of more is no float."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the model leans; None where the engine can't tell.

    ``mass`` is the share that it gives each label among all tokens.
    """

    probability: float | None
    mass: Mapping[str, float]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Mass:
    """How much of the next token's whole probability each label has."""

    accept: float
    reject: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """``decision`` is ``undecided`` within the abstain band, and None where nothing tells it.

    ``probability`` is that of acceptance: the mean of the ``samples``, mapped by the calibration
    where there is one. ``source`` is ``review_line`` where the decision stands in the text, and
    ``probe`` where it is the likelier label.
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
    """The review, open at the deciding word; the line is begun where the review has none."""
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
) -> Reading:
    """The model's probability of acceptance."""
    labels = verdict_labels(engine.tokenizer)
    accept_token, reject_token = labels.accept[0], labels.reject[0]
    found = await engine.read_labels(
        LabelRead(request_id, messages, prefix, (accept_token, reject_token), cache_salt)
    )
    if len(found.of) < 2:
        return Reading(None, {}, found.usage)
    accept, reject = found.of[accept_token], found.of[reject_token]
    # Softmax of the two, by their difference: the masses themselves may be tiny.
    probability = 1 / (1 + math.exp(min(reject - accept, _LARGEST_EXPONENT)))
    mass = {"accept": math.exp(accept), "reject": math.exp(reject)}
    return Reading(probability, mass, found.usage)


def nearest_the_mean(readings: Sequence[Reading]) -> int:
    """The sample to show: the first of those whose probability is nearest to all samples' mean."""
    told = [(i, r.probability) for i, r in enumerate(readings) if r.probability is not None]
    if not told:
        return 0
    mean = fmean(probability for _, probability in told)
    return min(told, key=lambda of: abs(of[1] - mean))[0]


@dataclass(frozen=True, slots=True)
class Confidence:
    """How a model's probabilities become a verdict's.

    Of a probability within ``band``, its ends included, nothing is decided.
    """

    calibration: Calibration | None = None
    band: tuple[float, float] | None = None

    def verdict(
        self, decision: Decision | None, readings: Sequence[Reading], shown: int
    ) -> Verdict:
        """The verdict of a review whose text says ``decision``; ``shown`` is its sample."""
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
