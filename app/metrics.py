"""The service's own metrics; one registry per application."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest


class Metrics:
    """Counts reviews, refusals and the time that papers take to read."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.reviews = Counter(
            "reviewer_reviews", "Completed reviews.", ["decision"], registry=self._registry
        )
        self.errors = Counter(
            "reviewer_errors", "Requests answered with an error.", ["code"], registry=self._registry
        )
        self.extraction = Histogram(
            "reviewer_extraction_seconds",
            "Time to read a PDF, waiting for a worker included.",
            registry=self._registry,
        )

    def page(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)
