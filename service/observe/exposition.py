"""Writes the metrics of all workers as Prometheus text, format 0.0.4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client import core, generate_latest
from prometheus_client.metrics_core import Metric as Family

from service.observe.metric_types import PREFIX, Metric

Worker = tuple["memoryview[float]", dict[str, Any] | None]
"""A worker's row of float64 slots, and what it serves; None once the worker is dead."""


def exposition(metrics: Sequence[Metric], workers: Sequence[Worker]) -> bytes:
    """Returns the text: counts summed over all ``workers``, gauges over the living ones."""
    return generate_latest(_Collector(metrics, workers))


@dataclass(slots=True)
class _Collector:
    metrics: Sequence[Metric]
    workers: Sequence[Worker]

    def collect(self) -> Iterator[Family]:
        """Returns one family of samples for each metric, for prometheus_client."""
        total = [sum(column) for column in zip(*(row for row, _ in self.workers), strict=True)]
        living = [(row, info) for row, info in self.workers if info]
        for metric in self.metrics:
            name = PREFIX + metric.name
            if metric.kind == "histogram":
                yield _histogram(name, metric, total)
            elif metric.kind == "gauge":
                now = sum(row[metric.first] for row, _ in living)
                yield core.GaugeMetricFamily(name, metric.text, value=now)
            else:
                counts = core.CounterMetricFamily(name, metric.text, labels=metric.labels)
                for labels, slot in metric.slot.items():
                    if total[slot] or len(metric.slot) <= 10:
                        counts.add_metric(labels, total[slot])
                yield counts
        labels = ("version", "architecture", "provider")
        text = "Workers that serve this version, with this provider."
        served = core.GaugeMetricFamily(PREFIX + "model_info", text, labels=labels)
        keys = [tuple(info[label] for label in labels) for _, info in living]
        for key in sorted(set(keys)):
            served.add_metric(key, keys.count(key))
        yield served
        text = "Workers that run on the CPU because provider auto found no working CUDA."
        fallbacks = sum(bool(info["fallback"]) for _, info in living)
        yield core.GaugeMetricFamily(PREFIX + "provider_fallback", text, value=fallbacks)
        yield core.GaugeMetricFamily(PREFIX + "workers", "Workers alive.", value=len(living))


def _histogram(name: str, metric: Metric, total: Sequence[float]) -> Family:
    family = core.HistogramMetricFamily(name, metric.text, labels=metric.labels)
    bounds = (*(str(float(bound)) for bound in metric.bounds), "+Inf")
    for labels, first in metric.slot.items():
        end = first + len(bounds)
        if not metric.labels or any(total[first:end]):
            buckets = zip(bounds, accumulate(total[first:end]), strict=True)
            family.add_metric(labels, list(buckets), total[end])
    return family
