"""Writes the metrics of all workers as Prometheus text, format 0.0.4, or as OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

from prometheus_client import ProcessCollector, core
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family

from service.observe.metric_table import PREFIX, Metric

Exemplars = dict[int, list[Any]]
"""By the slot of their bucket: a sampled trace's id, the value, and when it was seen."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker's row of float64 slots, and what it serves; None once the worker is dead."""

    process: int
    row: memoryview[float]
    serves: dict[str, Any] | None
    exemplars: Exemplars


def exposition(metrics: Sequence[Metric], workers: Sequence[Worker], accept: str = "") -> bytes:
    """Returns the text: counts of all ``workers``, gauges of the living; ``accept`` is a header."""
    return choose_encoder(accept)[0](_Collector(metrics, workers))


def media_type(accept: str) -> str:
    """Returns the media type of the text for this header field."""
    return choose_encoder(accept)[1]


@dataclass(slots=True)
class _Collector:
    metrics: Sequence[Metric]
    workers: Sequence[Worker]

    def collect(self) -> Iterator[Family]:
        """Returns one family of samples for each metric, for prometheus_client."""
        total = [sum(column) for column in zip(*(each.row for each in self.workers), strict=True)]
        living = [worker for worker in self.workers if worker.serves]
        exemplars: Exemplars = {}
        for worker in self.workers:
            for slot, exemplar in worker.exemplars.items():
                exemplars[slot] = max(exemplar, exemplars.get(slot, exemplar), key=lambda e: e[2])
        for metric in self.metrics:
            if metric.kind == "histogram":
                yield _histogram(metric, total, exemplars)
            elif metric.kind == "gauge":
                yield _gauge(metric, living)
            else:
                counts = core.CounterMetricFamily(
                    PREFIX + metric.name, metric.text, labels=list(metric.labels)
                )
                for labels, slot in metric.slot.items():
                    if total[slot] or len(metric.slot) <= 10:
                        counts.add_metric(labels, total[slot])
                yield counts
        yield from _served([worker.serves for worker in living if worker.serves])
        yield core.GaugeMetricFamily(PREFIX + "workers", "Workers alive.", value=len(living))
        yield from _processes([worker.process for worker in living])


def _histogram(metric: Metric, total: Sequence[float], exemplars: Exemplars) -> Family:
    family = core.HistogramMetricFamily(
        PREFIX + metric.name, metric.text, labels=list(metric.labels)
    )
    bounds = (*(str(float(bound)) for bound in metric.bounds), "+Inf")
    for labels, first in metric.slot.items():
        end = first + len(bounds)
        if not metric.labels or any(total[first:end]):
            seen = [_exemplar(exemplars.get(slot)) for slot in range(first, end)]
            buckets = list(zip(bounds, accumulate(total[first:end]), seen, strict=True))
            family.add_metric(labels, buckets, total[end])  # type: ignore[arg-type]
    return family


def _exemplar(of_bucket: list[Any] | None) -> core.Exemplar | None:
    if of_bucket is None:
        return None
    trace, *value_and_time = of_bucket
    return core.Exemplar({"trace_id": trace.hex()}, *value_and_time)


def _gauge(metric: Metric, living: Sequence[Worker]) -> Family:
    family = core.GaugeMetricFamily(PREFIX + metric.name, metric.text, labels=list(metric.labels))
    for labels, slot in metric.slot.items():
        values = [worker.row[slot] for worker in living]
        if metric.over != "least":
            joined = sum(values) if metric.over == "sum" else max(values, default=0.0)
            family.add_metric(labels, joined)
        elif known := [value for value in values if value]:
            family.add_metric(labels, min(known))
    return family


def _served(infos: Sequence[dict[str, Any]]) -> Iterator[Family]:
    labels = ("version", "architecture", "provider")
    text = "Workers that serve this version, with this provider."
    served = core.GaugeMetricFamily(PREFIX + "model_info", text, labels=labels)
    keys = [tuple(info[label] for label in labels) for info in infos]
    for key in sorted(set(keys)):
        served.add_metric(key, keys.count(key))
    yield served
    text = "Workers in which this version challenges the champion."
    challenger = core.GaugeMetricFamily(PREFIX + "challenger_info", text, labels=("version",))
    named = [str(info["challenger"]) for info in infos if info.get("challenger")]
    for version in sorted(set(named)):
        challenger.add_metric((version,), named.count(version))
    yield challenger
    text = "Workers that run on the CPU because provider auto found no working CUDA."
    fallbacks = sum(bool(info["fallback"]) for info in infos)
    yield core.GaugeMetricFamily(PREFIX + "provider_fallback", text, value=fallbacks)


def _processes(processes: Sequence[int]) -> Iterator[Family]:
    """Returns ``process_*``, summed over the living workers; the start is that of the oldest."""
    joined: dict[str, Family] = {}
    for process in processes:
        for family in ProcessCollector(pid=partial(str, process), registry=None).collect():
            one = joined.setdefault(family.name, family)
            if one is not family:
                values = one.samples[0].value, family.samples[0].value
                joint = min(values) if family.name.endswith("start_time_seconds") else sum(values)
                one.samples = [one.samples[0]._replace(value=joint)]
    yield from joined.values()
