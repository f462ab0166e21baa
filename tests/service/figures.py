"""Reads a figure from a worker's metrics."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from service.observe.metrics import Metrics


def figure(metrics: Metrics, name: str, **labels: str) -> float:
    """Returns the sum of the samples that have this name, less ``mnist_``, and these labels."""
    return sum(
        sample.value
        for family in text_string_to_metric_families(metrics.exposition()[0].decode())
        for sample in family.samples
        if sample.name == f"mnist_{name}" and sample.labels == labels
    )
