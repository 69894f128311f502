"""What became of the papers so far, in numbers."""

from __future__ import annotations

import time
from collections import Counter

from app.client.batch.output import Outcome

BINS = 10
"""Of the histogram of probabilities, each a tenth wide."""


class Tally:
    """Counts outcomes. ``total`` are the papers of the input."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.told = 0
        """Papers that have their line."""
        self.earlier = 0
        """Of these, the ones that had it before this run."""
        self.reviewed_now = 0
        """Papers that got a review or an error in this run."""
        self.statuses: Counter[str] = Counter()
        self.decisions: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.notices: Counter[str] = Counter()
        self.histogram = [0] * BINS
        self._began = time.monotonic()

    def add(self, outcome: Outcome, *, earlier: bool) -> None:
        self.told += 1
        self.earlier += earlier
        self.reviewed_now += not earlier and outcome.status != "duplicate"
        self.statuses[outcome.status] += 1
        if outcome.status == "completed":
            self.decisions[outcome.decision or "none"] += 1
            if outcome.probability is not None:
                self.histogram[min(int(outcome.probability * BINS), BINS - 1)] += 1
        if outcome.code:
            self.failures[outcome.code] += 1
        if outcome.notice:
            self.notices[outcome.notice] += 1

    def begin(self) -> None:
        """The pace is measured from here on."""
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def per_minute(self) -> float:
        """Papers a minute, in this run."""
        return 60 * self.reviewed_now / max(self.elapsed_s, 1e-3)

    @property
    def left_s(self) -> float | None:
        """Seconds until all are done, at this pace; None before the first one is."""
        if not self.reviewed_now:
            return None
        return 60 * (self.total - self.told) / self.per_minute

    @property
    def accept_rate(self) -> float | None:
        """Of the reviews that decide; None where none does."""
        decided = self.decisions["accept"] + self.decisions["reject"]
        return self.decisions["accept"] / decided if decided else None
