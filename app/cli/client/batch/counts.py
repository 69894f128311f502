"""The results of a batch so far, as numbers."""

from __future__ import annotations

import time
from collections import Counter

from app.cli.client.batch.output import Outcome

BINS = 10
"""Number of bins in the histogram of probabilities."""


class BatchCounts:
    """``total`` is the number of papers in the input."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        """Papers that have their line."""
        self.earlier = 0
        """Of these, the ones that had it before this run."""
        self.worked_on = 0
        """Papers that got a review or an error in this run, by new work: neither duplicates nor
        papers whose review the service had stored already."""
        self.statuses: Counter[str] = Counter()
        self.decisions: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()
        self.notices: Counter[str] = Counter()
        self.histogram = [0] * BINS
        self._began = time.monotonic()

    def add(self, outcome: Outcome, *, earlier: bool) -> None:
        self.done += 1
        self.earlier += earlier
        self.worked_on += not (earlier or outcome.reused or outcome.status == "duplicate")
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
        """Start the clock for the rate."""
        self._began = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    @property
    def per_minute(self) -> float:
        """Papers a minute in this run."""
        return 60 * self.worked_on / max(self.elapsed_s, 1e-3)

    @property
    def left_s(self) -> float | None:
        """Seconds until all are done, at this rate; None before the first one is."""
        if not self.worked_on:
            return None
        return 60 * (self.total - self.done) / self.per_minute

    @property
    def accept_rate(self) -> float | None:
        """Share of accept among the reviews that have a decision; None if there is none."""
        decided = self.decisions["accept"] + self.decisions["reject"]
        return self.decisions["accept"] / decided if decided else None
