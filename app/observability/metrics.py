"""The service's own metrics; one registry per application.

No label contains text from a client, a paper or an upstream: values that are not listed here count
as ``other``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app import errors
from app.errors import ReviewerError

HIDDEN_KINDS = frozenset(
    (
        "off_page",
        "render_mode",
        "transparent",
        "tiny",
        "invisible_colour",
        "covered",
        "clipped",
        "remapped_font",
        "hidden_layer",
        "hidden_annotation",
        "actual_text",
        "hidden_element",
        "phantom",
    )
)
_OWN_CODES = frozenset(
    (
        "missing_field",
        "unknown_field",
        "unknown_parameter",
        "invalid_json",
        "unknown_template",
        "background_not_kept",
        "too_many_files",
        "invalid_base64",
        "invalid_schema",
        "unsupported_content_part",
        "unsupported_file_type",
        "prompt_too_long",
        "seed_unsupported",
        "scale_too_large",
        "bad_request",
        "not_found",
        "method_not_allowed",
    )
)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
STAGES = ("extraction", "packing", "generation", "verdict")
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
_WAITS = (1, 5, 15, 60, 300, 900, 3600, 14400, 86400)
_REQUEST_SECONDS = (0.005, 0.01, 0.025, *_SECONDS)
_TENTHS = tuple(tenth / 10 for tenth in range(1, 11))


class Metrics:
    """The metrics on ``/metrics``."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.reviews = self._counter("reviews", "Reviews that ended.", "status", "decision")
        self.errors = self._counter("errors", "Requests answered with an error.", "code")
        self.requests = self._counter(
            "http_requests",
            "Requests answered; status 499 if the client disconnected first.",
            "method",
            "route",
            "status",
        )
        self.request_seconds = self._histogram(
            "http_request_seconds", "Time until the end of the answer.", _REQUEST_SECONDS, "route"
        )
        self.extraction = self._histogram(
            "extraction_seconds", "Time to read a paper, including the wait for a worker.", _SECONDS
        )
        self.extraction_failures = self._counter(
            "extraction_failures", "Papers that could not be read.", "code"
        )
        self.stage = self._gauge("reviews_in_stage", "Reviews in each stage.", "stage")
        for name in STAGES:
            self.stage.labels(stage=name)
        self._unfinished = self._gauge(
            "unfinished_reviews",
            "Queued and running reviews of all processes that share the database.",
            "status",
        )
        self.background_wait = self._histogram(
            "background_wait_seconds", "Time from a background review's POST to its start.", _WAITS
        )
        self.places = self._gauge("places", "Most reviews, papers and chats at the same time.")
        self.places_taken = self._gauge("places_taken", "Reviews, papers and chats in progress.")
        self.queue_wait = self._histogram(
            "queue_seconds", "Time from sending a prompt to its first token.", _SECONDS
        )
        self.generation = self._histogram(
            "generation_seconds", "Time from a review's first token to its last.", _SECONDS
        )
        self.tokens = self._counter(
            "tokens", "Tokens of finished reviews; cached tokens are part of the prompts.", "kind"
        )
        self.probability = self._histogram(
            "verdict_probability", "Probabilities of acceptance.", _TENTHS
        )
        self.truncated = self._counter(
            "truncated_reviews", "Reviews whose prompt contained only a part of the paper."
        )
        self.unconstrained = self._counter(
            "unconstrained_reviews",
            "Reviews that the engine could not keep to their format to the end.",
        )
        self.hidden_text = self._counter(
            "hidden_text", "Pieces of hidden text in reviewed papers.", "kind"
        )

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def count_unfinished(self, by_status: Mapping[str, int]) -> None:
        """Set the numbers of unfinished reviews; empty if the store is unavailable."""
        self._unfinished.clear()
        for status, count in by_status.items():
            self._unfinished.labels(status=status).set(count)

    def failed(self, error: ReviewerError) -> None:
        """Count a request, or a stream, that ended with an error."""
        self.errors.labels(code=code_of(error)).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request. ``route`` is the route's template, not the requested path."""
        known = method if method in _METHODS else "other"
        self.requests.labels(method=known, route=route, status=str(status)).inc()
        self.request_seconds.labels(route=route).observe(seconds)

    @contextmanager
    def extracting(self) -> Iterator[None]:
        """Measure the reading of a paper, and count failures."""
        started = time.perf_counter()
        try:
            yield
        except ReviewerError as error:
            self.extraction_failures.labels(code=code_of(error)).inc()
            raise
        self.extraction.observe(time.perf_counter() - started)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"reviewer_{name}", about, labels, registry=self._registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"reviewer_{name}", about, labels, registry=self._registry)

    def _histogram(
        self, name: str, about: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        return Histogram(
            f"reviewer_{name}", about, labels, buckets=buckets, registry=self._registry
        )


def code_of(error: ReviewerError) -> str:
    """The error's code if it is known, otherwise its class's: an upstream may send any code."""
    known = error.code in _OWN_CODES or error.code in _CLASS_CODES
    return error.code if known else type(error).code


_CLASS_CODES = frozenset(
    kind.code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ReviewerError)
)
