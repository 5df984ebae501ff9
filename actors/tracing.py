"""Traces, from the image that comes to the event that is written to a socket. Off unless somebody collects them.

``OTEL_EXPORTER_OTLP_ENDPOINT`` names the collector (OTLP over HTTP); every process of an instance inherits it. A trace
begins with an image or a call. It travels as W3C ``traceparent``: in the inbox entry, in the envelope between hosts, and
beside the feed's nudge to the gateways. Attributes hold our ids and DICOM UIDs, nothing of a patient.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from opentelemetry.trace import Tracer

CHANNEL = "trace"  # EVENT TRACEPARENT, of events that are about to be in the feed
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_KEPT = 10_000
_NOTHING: AbstractContextManager[None] = nullcontext()

_tracers: list[Tracer] = []  # one, once this process traces
_events: OrderedDict[str, str] = OrderedDict()


def start(process: str) -> None:
    """Trace this process, if a collector is named. What it collects goes out every second."""
    if _tracers or not os.environ.get(ENDPOINT):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - off by default
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(resource=Resource({"service.name": "readingroom", "service.instance.id": process}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=2), schedule_delay_millis=1000))
    _tracers.append(provider.get_tracer("readingroom"))


def on() -> bool:
    """Whether this process traces."""
    return bool(_tracers)


def span(name: str, parent: str = "", *, root: bool = False, **attributes: str) -> AbstractContextManager[None]:
    """A step of the trace of ``parent``, else of the current one; without either nothing, unless it is a ``root``."""
    return _span(_tracers[0], name, parent, root, attributes) if _tracers else _NOTHING


@contextmanager
def _span(tracer: Tracer, name: str, parent: str, root: bool, attributes: dict[str, Any]) -> Iterator[None]:  # noqa: FBT001
    from opentelemetry import trace  # noqa: PLC0415
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    context = TraceContextTextMapPropagator().extract({"traceparent": parent}) if parent else None
    if root:
        context = Context()  # a trace of its own, whatever is under way around it
    elif not trace.get_current_span(context).get_span_context().is_valid:
        yield
        return
    with tracer.start_as_current_span(name, context, attributes=attributes, record_exception=False):
        yield


def carrier() -> str:
    """Return the current step for others to go on from, empty when there is none."""
    if not _tracers:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    said: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(said)
    return said.get("traceparent", "")


def hints(event_ids: Iterable[str]) -> list[str]:
    """Return what to publish on :data:`CHANNEL` before these events are in the feed."""
    current = carrier()
    return [f"{event_id} {current}" for event_id in dict.fromkeys(event_ids)] if current else []


def hear(text: str) -> None:
    """Remember to whose trace an event belongs; the oldest are forgotten."""
    event_id, _, parent = text.partition(" ")
    _events[event_id] = parent
    if len(_events) > _KEPT:
        _events.popitem(last=False)


def of_event(event_id: str) -> str:
    """Return where the trace of an event stands, empty when it has none."""
    return _events.get(event_id, "")
