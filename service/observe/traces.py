"""Trace context (W3C), and the spans of sampled requests, which OpenTelemetry sends to a collector.

Whether a request is sampled is decided here; the SDK sees only those that are, on a thread.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import getrandbits, random
from typing import TYPE_CHECKING, Any, NamedTuple

from service.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan

CLOSE_SECONDS = 3.0  # how long a stop waits for the spans that are not exported
_ROOM, _BATCH, _PAUSE_SECONDS = 2048, 256, 0.2
_STEPS = ("decode", "queue", "infer")
_IDS = rb"-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
_TRACEPARENT = re.compile(rb"00%b|(?!00|ff)[0-9a-f]{2}%b(-.*)?" % (_IDS, _IDS))
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


class Trace(NamedTuple):
    """The trace that a request belongs to, and the span of its caller, in hexadecimal digits."""

    id: str
    parent: str
    sampled: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A sampled request: its log line, and the seconds from its begin until its model had run."""

    trace: Trace
    route: str
    facts: dict[str, Any]
    inferred_s: float
    end: float = field(default_factory=time.time)


def take_up(parent: bytes | None, tracer: Tracer | None) -> Trace | None:
    """Returns the trace of the field ``traceparent``, or a new one that the tracer samples."""
    if parent is not None and _TRACEPARENT.fullmatch(parent):
        text = parent.decode("latin-1")
        ids = text[3:35], text[36:52], text[54] in "13579bdf"
        if ids[0] != _NO_TRACE and ids[1] != _NO_SPAN:
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
    """Exports the spans of sampled requests; ``share`` of the requests without trace are."""

    def __init__(
        self, endpoint: str, share: float, version: str, dropped: Callable[[], object]
    ) -> None:
        url = endpoint.rstrip("/").removesuffix("/v1/traces") + "/v1/traces"
        self._exporter = require_opentelemetry()(endpoint=url)
        self._version = version
        self.share, self._dropped = share, dropped
        self._waiting = deque[Span]()
        self._ready, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
        self._thread.start()

    def add(self, span: Span) -> None:
        """Exports the span soon, or drops it if too many wait."""
        if len(self._waiting) >= _ROOM:
            self._dropped()
            return
        self._waiting.append(span)
        self._ready.set()

    def close(self) -> None:
        """Exports what waits, for ``CLOSE_SECONDS`` at most."""
        self._closing.set()
        self._ready.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        from opentelemetry.sdk.resources import Resource

        told = {"service.name": "mnist-serve", "service.version": self._version}
        resource = Resource.create(told)
        while self._waiting or not self._closing.is_set():
            self._ready.wait()
            self._ready.clear()
            self._closing.wait(_PAUSE_SECONDS)
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                spans = [each for one in batch for each in _spans(one, resource)]
                result = self._exporter.export(spans)
                if result.name != "SUCCESS":
                    for _ in batch:
                        self._dropped()


def _spans(span: Span, resource: Resource) -> list[ReadableSpan]:
    """Returns the SDK's spans of a request and of its steps (HTTP semantic conventions)."""
    from opentelemetry import trace as otel
    from opentelemetry.sdk.trace import ReadableSpan

    facts, trace = span.facts, int(span.trace.id, 16)
    begin = span.end - facts["total_ms"] / 1e3

    def made(name: str, parent: Any, first: float, last: float, **more: Any) -> ReadableSpan:
        flags = otel.TraceFlags(otel.TraceFlags.SAMPLED)
        own = otel.SpanContext(trace, getrandbits(64), is_remote=False, trace_flags=flags)
        start, end = int(first * 1e9), int(last * 1e9)
        return ReadableSpan(name, own, parent, resource, start_time=start, end_time=end, **more)

    caller = int(span.trace.parent or "0", 16)
    failed = otel.StatusCode.ERROR if facts["status"] >= 500 else otel.StatusCode.UNSET
    root = made(
        f"{facts['method']} {span.route}",
        otel.SpanContext(trace, caller, is_remote=True) if caller else None,
        begin,
        span.end,
        kind=otel.SpanKind.SERVER,
        status=otel.Status(failed),
        attributes={"http.route": span.route}
        | {name: facts[fact] for fact, name in _NAMES.items() if fact in facts},
    )
    spans, last = [root], begin + span.inferred_s
    if span.inferred_s > 0:
        for name in reversed(_STEPS):
            first = last - facts[f"{name}_ms"] / 1e3
            spans.append(made(name, root.context, max(first, begin), last))
            last = first
    return spans


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
