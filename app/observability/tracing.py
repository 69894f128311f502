"""OpenTelemetry spans for reviews and their stages, if ``otlp_endpoint`` is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from structlog.contextvars import get_contextvars

from app.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


class ReviewTrace(Protocol):
    """One review's span. Times are nanoseconds since 1970."""

    def stage(self, name: str, start_ns: int, end_ns: int) -> None: ...

    def end(self, status: str) -> None: ...


class Traces(Protocol):
    def review(self) -> ReviewTrace: ...

    def close(self) -> None:
        """Send the remaining spans; blocks for some seconds if the collector does not answer."""
        ...


class _NoTraces:
    """Implements both protocols by doing nothing."""

    def review(self) -> ReviewTrace:
        return self

    def stage(self, name: str, start_ns: int, end_ns: int) -> None:
        pass

    def end(self, status: str) -> None:
        pass

    def close(self) -> None:
        pass


NO_TRACES: Traces = _NoTraces()


def traces_to(endpoint: str | None) -> Traces:
    """Spans that are sent to an OTLP collector (HTTP, protobuf); without one, no spans.

    Raises:
        ConfigurationError: OpenTelemetry is not installed.
    """
    if endpoint is None:
        return NO_TRACES
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            "otlp_endpoint needs OpenTelemetry: pip install 'scientific-reviewer[otel]'",
            param="otlp_endpoint",
        ) from error
    resource = Resource.create({"service.name": "scientific-reviewer"})
    # Not the global provider, which vLLM configures.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return _OtlpTraces(provider)


_TIMEOUT_S = 5


class _OtlpTraces:
    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    def review(self) -> ReviewTrace:
        return _OtlpReview(self._provider)

    def close(self) -> None:
        self._provider.shutdown()


class _OtlpReview:
    """Spans of one review. Attributes contain nothing from the paper or the review."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace import set_span_in_context

        self._tracer = provider.get_tracer(__name__)
        self._span = self._tracer.start_span("review")
        self._context = set_span_in_context(self._span)
        request_id = get_contextvars().get("request_id")
        if request_id:
            self._span.set_attribute("request.id", request_id)

    def stage(self, name: str, start_ns: int, end_ns: int) -> None:
        span = self._tracer.start_span(name, self._context, start_time=start_ns)
        span.end(end_ns)

    def end(self, status: str) -> None:
        self._span.set_attribute("review.status", status)
        self._span.end()
