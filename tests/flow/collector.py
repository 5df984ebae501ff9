"""A collector of traces in this process: OTLP over HTTP, as any real one takes them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Span:
    """One step, and the process that took it."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    name: str
    process: str
    attributes: dict[str, str]
    began_ns: int


class Collector:
    """Takes spans on a free port of loopback while it is open."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for sent in request.resource_spans:
            resource = {a.key: a.value.string_value for a in sent.resource.attributes}
            for span in (span for scope in sent.scope_spans for span in scope.spans):
                attributes = {a.key: a.value.string_value for a in span.attributes}
                self.spans.append(
                    Span(
                        span.trace_id, span.span_id, span.parent_span_id, span.name, resource["service.instance.id"],
                        attributes, span.start_time_unix_nano,
                    )
                )  # fmt: skip

    def ways(self, name: str) -> Iterator[list[Span]]:
        """Yield, for each span of that name, the way to it from the beginning of its trace."""
        spans = list(self.spans)
        known = {(span.trace_id, span.span_id): span for span in spans}
        for span in spans:
            if span.name == name:
                way = [span]
                while (before := known.get((span.trace_id, way[0].parent_id))) is not None:
                    way.insert(0, before)
                yield way
