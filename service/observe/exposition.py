"""All workers' figures as Prometheus' text, format 0.0.4; loaded only when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, core, generate_latest
from prometheus_client.metrics_core import Metric

from service.observe.metric_types import PREFIX, Counter, Gauge, Histogram

Worker = tuple["memoryview[float]", dict[str, Any] | None]
"""A worker's row of float64 slots, and what it serves; None where it is not alive."""


def exposition(families: Sequence[Counter], workers: Sequence[Worker]) -> bytes:
    """The text of ``families``: counts summed over all ``workers``, gauges over those alive."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(families, workers))
    return generate_latest(registry)


class _Collector:
    """Sums the workers' rows into prometheus_client's families."""

    def __init__(self, families: Sequence[Counter], workers: Sequence[Worker]) -> None:
        self._families = families
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks its collectors for."""
        rows = self._workers
        total = [sum(column) for column in zip(*(row for row, _ in rows), strict=True)]
        living = [(row, info) for row, info in rows if info]
        for family in self._families:
            if isinstance(family, Histogram):
                yield _histogram(family, total)
            elif isinstance(family, Gauge):
                now = sum(row[family.first] for row, _ in living)
                yield core.GaugeMetricFamily(family.name, family.text, value=now)
            else:
                counts = core.CounterMetricFamily(family.name, family.text, labels=family.labels)
                for labels, slot in family.slot.items():
                    if total[slot] or len(family.slot) <= 10:
                        counts.add_metric(labels, total[slot])
                yield counts
        info = core.GaugeMetricFamily(
            PREFIX + "model_info",
            "Workers that serve this version, with this provider.",
            labels=("version", "architecture", "provider"),
        )
        keys = [(i["version"], i["architecture"], i["provider"]) for _, i in living if i]
        for key in sorted(set(keys)):
            info.add_metric(key, keys.count(key))
        yield info
        yield core.GaugeMetricFamily(
            PREFIX + "provider_fallback",
            "Workers that run on the CPU because CUDA, tried by provider auto, does not work.",
            value=sum(bool(i["fallback"]) for _, i in living if i),
        )
        yield core.GaugeMetricFamily(PREFIX + "workers", "Workers alive.", value=len(living))


def _histogram(family: Histogram, total: Sequence[float]) -> Metric:
    metric = core.HistogramMetricFamily(family.name, family.text, labels=family.labels)
    for labels, first in family.slot.items():
        counts = total[first : first + family.width - 1]
        if family.labels and not any(counts):
            continue
        buckets, running = [], 0.0
        for bound, count in zip((*map(float, family.bounds), "+Inf"), counts, strict=True):
            running += count
            buckets.append((str(bound), running))
        metric.add_metric(labels, buckets, total[first + family.width - 1])
    return metric
