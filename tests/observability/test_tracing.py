"""Traces, as a collector gets them."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.observability.test_logs import MARKER, marked
from tests.service import ScriptedService


class Collector(BaseHTTPRequestHandler):
    got: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.got.append((self.path, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_span_for_each_stage_of_a_review(collector: str, tmp_path: Path) -> None:
    told = {"REVIEWER_OTLP_ENDPOINT": collector, "SCRIPTED_TEXT": MARKER}
    with ScriptedService(tmp_path / "log", **told) as service:
        files = {"file": (f"{MARKER}.pdf", marked())}
        answer = httpx.post(f"{service.url}/v1/reviews", files=files, timeout=60)
        assert answer.status_code == 200
        failed = {"title": MARKER, "body": "CRASH-THE-ENGINE"}
        assert httpx.post(f"{service.url}/v1/reviews", json=failed, timeout=60).status_code == 500
    assert {path for path, _ in Collector.got} == {"/v1/traces"}
    assert not any(MARKER.encode() in body for _, body in Collector.got)
    spans = [
        span
        for _, body in Collector.got
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    good, bad = sorted(
        (s for s in spans if s.name == "review"), key=lambda s: s.start_time_unix_nano
    )
    attributes = {a.key: a.value.string_value for a in good.attributes}
    assert attributes == {
        "request.id": answer.headers["x-request-id"],
        "review.status": "completed",
    }
    assert {a.key: a.value.string_value for a in bad.attributes}["review.status"] == "failed"
    stages = [span for span in spans if span.parent_span_id == good.span_id]
    stages.sort(key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in stages] == ["extraction", "packing", "generation", "verdict"]
    for before, after in itertools.pairwise(stages):
        assert before.start_time_unix_nano <= before.end_time_unix_nano
        assert before.end_time_unix_nano <= after.start_time_unix_nano
    unfinished = {span.name for span in spans if span.parent_span_id == bad.span_id}
    assert unfinished == {"extraction", "packing", "generation"}


def test_a_collector_that_is_not_there_harms_no_review(tmp_path: Path) -> None:
    told = {"REVIEWER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with ScriptedService(tmp_path / "log", **told) as service:
        asked = {"title": "T", "body": "B"}
        assert httpx.post(f"{service.url}/v1/reviews", json=asked, timeout=60).status_code == 200
    assert "unexpected" not in service.log.read_text()
