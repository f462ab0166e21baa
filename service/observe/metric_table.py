"""The metrics of the service: to add one, add its entry here and call ``Metrics.count`` or ``set``.

The values of a label are listed, so that no label grows without bound. The first entries are those
that every request adds to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

PREFIX = "mnist_"
STATUSES = (
    *(200, 201, 204, 304, 400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 421, 422, 429, 431),
    *(499, 500, 503, 504),
)
REJECTIONS = ("queue_full", "bodies_full", "rate", "deadline", "left")
DOUBTS = ("blank", "not a digit", "several digits", "too small", "low contrast", "inverted")
LOADS = ("loaded", "failed")
DRIFTS = ("labels", "appearance", "no digits")
# From 10 microseconds up, finest where a prediction lies.
SECONDS = (1e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.5, 1.0, 10.0, 100.0)
ROWS = (1, 4, 16, 64, 256, 1024, 4096)
ALIKE = {"result": ("agreed", "disagreed", "shed")}


@dataclass(slots=True)
class Metric:
    """A Prometheus metric, with one or several slots for each combination of label values.

    A histogram has slots for its buckets, overflow and sum; an info has none. ``over`` says
    how living workers' gauges are joined; ``least`` ignores one that was never set.
    """

    kind: Literal["counter", "gauge", "histogram", "info"]
    name: str
    text: str
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    bounds: Sequence[float] = ()
    over: Literal["sum", "least", "most"] = "sum"
    slot: dict[tuple[str, ...], int] = field(init=False)

    def place(self, first: int) -> int:
        """Gives the metric the slots from ``first`` on, and returns the next free one."""
        width = len(self.bounds) + 2 if self.kind == "histogram" else 1
        rows = list(product(*self.labels.values()))
        self.slot = {row: first + i * width for i, row in enumerate(rows)}
        return first + len(rows) * width


def table() -> list[Metric]:
    """Returns the metrics but for those by endpoint, without values."""
    versions: dict[str, Sequence[str]] = {"version": (), "architecture": (), "provider": ()}
    bounds, by = ("estimate", "low", "high"), ("challenger", "champion")
    return [
        Metric("histogram", "queue_seconds", "Waiting for a run.", bounds=SECONDS),
        Metric("histogram", "inference_seconds", "One run of the model.", bounds=SECONDS),
        Metric("histogram", "batch_size", "Images in one run.", bounds=ROWS),
        Metric("counter", "rejected", "Requests rejected.", {"reason": REJECTIONS}),
        Metric("counter", "predictions", "Digits answered.", {"digit": list("0123456789")}),
        Metric("counter", "doubts", "Reasons to doubt an answer.", {"doubt": DOUBTS}),
        Metric("info", "model_info", "Workers that serve this version so.", versions),
        Metric("gauge", "provider_fallback", "Workers on the CPU: auto found no working CUDA."),
        Metric("gauge", "workers", "Workers alive."),
        Metric("counter", "model_loads", "Versions loaded.", {"result": LOADS}),
        Metric("counter", "model_condemned", "Versions that failed callers and no longer answer."),
        Metric("counter", "log_lines_dropped", "Log lines that found no room."),
        Metric("counter", "captured", "Answered images that were kept for review."),
        Metric("counter", "capture_dropped", "Images to be kept that were not."),
        Metric("counter", "store_dropped", "Pieces of work that the store did not do."),
        Metric("counter", "labels", "Labels kept.", {"source": ("feedback", "review")}),
        Metric("gauge", "store_fault", "Workers whose store is away."),
        Metric("counter", "challenger_images", "Images by what the challenger reads.", ALIKE),
        Metric("counter", "canary_answers", "Its callers' requests, by who answered.", {"by": by}),
        Metric("info", "challenger_info", "Workers in which it challenges.", {"version": ()}),
        Metric("gauge", "challenger_fault", "Workers whose challenger is out, or does not load."),
        Metric("counter", "drift_alarms", "Alarms of drift.", {"kind": DRIFTS}),
        Metric("gauge", "drift_score", "Evidence of drift.", {"kind": DRIFTS}, over="most"),
        Metric("gauge", "accuracy", "Estimated accuracy in use.", {"bound": bounds}, over="least"),
        Metric("gauge", "queue_rows", "Images waiting now."),
        Metric("gauge", "memory_limit_bytes", "What all workers may use together.", over="least"),
        Metric("gauge", "champion_fault", "Workers that cannot serve the champion that is named."),
        Metric("gauge", "keys_fault", "Workers that cannot use the file of keys."),
        Metric("gauge", "keys_expire_timestamp_seconds", "When the next expires.", over="least"),
        Metric("gauge", "certificate_expire_timestamp_seconds", "When TLS ends.", over="least"),
        Metric("gauge", "certificate_fault", "Workers that cannot use the renewed certificate."),
    ]


def by_endpoint(paths: list[str], timed: list[str]) -> tuple[Metric, Metric]:
    """Returns the requests by route and status, and the seconds of the ``timed`` routes."""
    statuses = {"endpoint": paths, "status": list(map(str, STATUSES))}
    text = "From the request's head to its answer, by route; other: all that classify nothing."
    return (
        Metric("counter", "requests", "Requests by route and status (499: left).", statuses),
        Metric("histogram", "request_seconds", text, {"endpoint": timed}, SECONDS),
    )
