"""Writes the metrics of all workers as Prometheus text, format 0.0.4."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, core, generate_latest
from prometheus_client.metrics_core import Metric as Family

from service.observe.metric_types import PREFIX, Metric

Worker = tuple["memoryview[float]", dict[str, Any] | None]
"""A worker's row of float64 slots, and what it serves; None once the worker is dead."""


def exposition(metrics: Sequence[Metric], workers: Sequence[Worker]) -> bytes:
    """Returns the text: counts summed over all ``workers``, gauges over the living ones."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(metrics, workers))
    return generate_latest(registry)


class _Collector:
    """Sums the workers' rows; prometheus_client calls :meth:`collect`."""

    def __init__(self, metrics: Sequence[Metric], workers: Sequence[Worker]) -> None:
        self._metrics = metrics
        self._total = [sum(column) for column in zip(*(row for row, _ in workers), strict=True)]
        self._living = [(row, info) for row, info in workers if info]

    def collect(self) -> Iterator[Family]:
        """Returns one family of samples for each metric."""
        for metric in self._metrics:
            name = PREFIX + metric.name
            if metric.kind == "histogram":
                yield _histogram(name, metric, self._total)
            elif metric.kind == "gauge":
                now = sum(row[metric.first] for row, _ in self._living)
                yield core.GaugeMetricFamily(name, metric.text, value=now)
            else:
                counts = core.CounterMetricFamily(name, metric.text, labels=metric.labels)
                for labels, slot in metric.slot.items():
                    if self._total[slot] or len(metric.slot) <= 10:
                        counts.add_metric(labels, self._total[slot])
                yield counts
        labels = ("version", "architecture", "provider")
        text = "Workers that serve this version, with this provider."
        served = core.GaugeMetricFamily(PREFIX + "model_info", text, labels=labels)
        keys = [tuple(info[label] for label in labels) for _, info in self._living]
        for key in sorted(set(keys)):
            served.add_metric(key, keys.count(key))
        yield served
        text = "Workers that run on the CPU because provider auto found no working CUDA."
        fallbacks = sum(bool(info["fallback"]) for _, info in self._living)
        yield core.GaugeMetricFamily(PREFIX + "provider_fallback", text, value=fallbacks)
        living = len(self._living)
        yield core.GaugeMetricFamily(PREFIX + "workers", "Workers alive.", value=living)


def _histogram(name: str, metric: Metric, total: Sequence[float]) -> Family:
    family = core.HistogramMetricFamily(name, metric.text, labels=metric.labels)
    for labels, first in metric.slot.items():
        counts = total[first : first + metric.width - 1]
        if metric.labels and not any(counts):
            continue
        buckets, running = [], 0.0
        for bound, count in zip((*map(float, metric.bounds), "+Inf"), counts, strict=True):
            running += count
            buckets.append((str(bound), running))
        family.add_metric(labels, buckets, total[first + metric.width - 1])
    return family
