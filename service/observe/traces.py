"""Trace context (W3C), and the spans of sampled requests, which OpenTelemetry sends to a collector.

Whether a request is sampled is decided here; the SDK sees only those that are.
"""

from __future__ import annotations

import re
import threading
import time
from random import getrandbits, random
from typing import Any, NamedTuple

from service.settings import SettingsError

CLOSE_SECONDS = 3.0  # how long a stop waits for the spans that are not exported
_STEPS = ("decode", "queue", "infer")
_IDS = rb"-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT = re.compile(rb"00%b|(?!00|ff)[0-9a-f]{2}%b(-.*)?" % (_IDS, _IDS))
_NAMES = {
    "method": "http.request.method",
    "path": "url.path",
    "status": "http.response.status_code",
    "client": "client.address",
    "user_agent": "user_agent.original",
    "bytes_in": "http.request.body.size",
    "bytes_out": "http.response.body.size",
    "request_id": "mnist.request_id",
    "version": "mnist.version",
}


class Trace(NamedTuple):
    """The trace that a request belongs to, and the span of its caller, in hexadecimal digits."""

    id: str
    parent: str
    sampled: bool


def take_up(parent: bytes | None, tracer: Tracer | None) -> Trace | None:
    """Returns the trace of the field ``traceparent``, or a new one that the tracer samples."""
    if parent is not None and _TRACEPARENT.fullmatch(parent):
        text = parent.decode("latin-1")
        ids = text[3:35], text[36:52], text[54] in "13579bdf"
        return tuple.__new__(Trace, ids)  # a third of what Trace(*ids) takes
    if tracer is not None and random() < tracer.share:  # noqa: S311 - no secret
        return Trace(f"{getrandbits(128):032x}", "", sampled=True)
    return None


def require_opentelemetry() -> type[Any]:
    """Returns the exporter. Raises :class:`SettingsError` if the extra ``otel`` is missing."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        needs = "MNIST_OTLP_ENDPOINT needs OpenTelemetry: pip install 'mnist-serve[otel]'"
        raise SettingsError(needs) from None
    return OTLPSpanExporter


class Tracer:
    """Exports the spans of sampled requests; ``share`` of the requests without trace are.

    What the collector does not take is lost, and OpenTelemetry logs why.
    """

    def __init__(self, endpoint: str, share: float, version: str) -> None:
        exporter = require_opentelemetry()
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        url = endpoint.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
        self._batches = BatchSpanProcessor(exporter(endpoint=url), schedule_delay_millis=500)
        told = {"service.name": "mnist-serve", "service.version": version}
        self._resource = Resource.create(told)
        self.share = share

    def close(self) -> None:
        """Exports what waits, for ``CLOSE_SECONDS`` at most."""
        closing = threading.Thread(target=self._batches.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def add(self, trace: Trace, route: str, facts: dict[str, Any], inferred_s: float) -> None:
        """Exports the spans of a request and of its steps soon (HTTP semantic conventions).

        ``facts`` are those of its log line; its model had run ``inferred_s`` after its begin.
        """
        from opentelemetry import trace as otel
        from opentelemetry.sdk.trace import ReadableSpan

        now, number = time.time(), int(trace.id, 16)
        begin = now - facts["total_ms"] / 1e3

        def span(name: str, parent: Any, first: float, last: float, **more: Any) -> Any:
            flags = otel.TraceFlags(otel.TraceFlags.SAMPLED)
            own = otel.SpanContext(number, getrandbits(64), is_remote=False, trace_flags=flags)
            more |= {"start_time": int(first * 1e9), "end_time": int(last * 1e9)}
            self._batches.on_end(ReadableSpan(name, own, parent, self._resource, **more))
            return own

        caller = int(trace.parent or "0", 16)
        parent = otel.SpanContext(number, caller, is_remote=True) if caller else None
        failed = otel.StatusCode.ERROR if facts["status"] >= 500 else otel.StatusCode.UNSET
        told = {_NAMES[n]: each for n, each in facts.items() if n in _NAMES} | {"http.route": route}
        kept = {"kind": otel.SpanKind.SERVER, "status": otel.Status(failed), "attributes": told}
        root = span(f"{facts['method']} {route}", parent, begin, now, **kept)
        last = begin + inferred_s
        for name in reversed(_STEPS if inferred_s > 0 else ()):
            first = last - facts[f"{name}_ms"] / 1e3
            span(name, root, max(first, begin), last)
            last = first
