"""Writes the metrics of all workers as Prometheus text, format 0.0.4, or as OpenMetrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from types import SimpleNamespace
from typing import Any, NamedTuple

from prometheus_client import ProcessCollector, core
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family

from service.observe.metric_table import PREFIX, Metric

Exemplars = dict[int, list[Any]]
"""By the slot of their bucket: a sampled trace's id, the value, and when it was seen."""
_FAMILIES = {
    "counter": core.CounterMetricFamily,
    "gauge": core.GaugeMetricFamily,
    "histogram": core.HistogramMetricFamily,
    "info": core.GaugeMetricFamily,
}
_OPENMETRICS = "application/openmetrics-text"  # without what follows, which the library trusts
_OVER: dict[str, Callable[[Sequence[float]], float]] = {"sum": sum, "most": max, "least": min}


class Worker(NamedTuple):
    """A worker's row of float64 slots, and what it tells; None before that and once it is dead."""

    process: int
    row: memoryview[float]
    told: dict[str, list[str]] | None
    exemplars: Exemplars


def exposition(
    metrics: Sequence[Metric], workers: Sequence[Worker], accept: str = ""
) -> tuple[bytes, str]:
    """Returns all workers' counts and living ones' gauges, and the media type by ``accept``."""
    encoder, media_type = choose_encoder(_OPENMETRICS if _OPENMETRICS in accept.lower() else "")
    return encoder(SimpleNamespace(collect=partial(_collect, metrics, workers))), media_type


def _collect(metrics: Sequence[Metric], workers: Sequence[Worker]) -> Iterator[Family]:
    total = [sum(column) for column in zip(*(each.row for each in workers), strict=True)]
    living = [worker for worker in workers if worker.told]
    seen = sorted(chain(*(worker.exemplars.items() for worker in workers)), key=lambda e: e[1][2])
    exemplars = dict(seen)  # the newest of each slot
    for metric in metrics:
        name, labels = PREFIX + metric.name, list(metric.labels)
        family: Any = _FAMILIES[metric.kind](name, metric.text, labels=labels)
        for values, slot in metric.slot.items():
            if metric.kind == "histogram":
                if not labels or any(total[slot : slot + len(metric.bounds) + 1]):
                    family.add_metric(values, *_buckets(metric, total, slot, exemplars))
            elif metric.kind == "gauge":
                figures = [worker.row[slot] for worker in living]
                known = [*filter(None, figures)] if metric.over == "least" else figures or [0.0]
                if known:
                    family.add_metric(values, _OVER[metric.over](known))
            elif total[slot] or len(metric.slot) <= 10:
                family.add_metric(values, total[slot])
        told = (worker.told.get(metric.name) for worker in living if worker.told)
        for values, count in sorted(Counter(tuple(each) for each in told if each).items()):
            family.add_metric(values, count)
        yield family
    yield from _processes([worker.process for worker in living])


def _buckets(
    metric: Metric, total: Sequence[float], first: int, exemplars: Exemplars
) -> tuple[list[Any], float]:
    """Returns the cumulative buckets of a histogram with their exemplars, and the sum."""
    buckets, count = list[Any](), 0.0
    for slot, bound in enumerate([*map(float, metric.bounds), "+Inf"], first):
        count += total[slot]
        trace, *seen = exemplars.get(slot, [b""])
        exemplar = core.Exemplar({"trace_id": trace.hex()}, *seen) if seen else None
        buckets.append((str(bound), count, exemplar))
    return buckets, total[first + len(buckets)]


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
