"""Renders the chart as ``helm template`` does. As a module it writes ``deploy/kubernetes.yaml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
CHART = ROOT / "deploy/helm/mnist-serve"
VALUES = ROOT / "deploy/helm/kubernetes.values.yaml"
MANIFESTS = ROOT / "deploy/kubernetes.yaml"
HEADER = """\
# The service, and the training that refreshes its model every night at three:
#   kubectl apply -f deploy/kubernetes.yaml
# Both share one volume. On more than one node it must be ReadWriteMany, such as NFS; the service
# only reads it, and follows `champion` there within two seconds.
#
# Rendered from deploy/helm/mnist-serve with deploy/helm/kubernetes.values.yaml: change those, then
#   python -m tests.deploy.render
"""


def render(values: dict[str, Any]) -> str:
    """Returns the manifests of the chart with these values, in the order of the template files.

    Raises ``helm_python.HelmError`` for values that the chart refuses.
    """
    import helm_python  # which is not to be had for every machine

    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name="mnist", namespace="default")
    texts = [text.strip() for name, text in sorted(files.items()) if name.endswith(".yaml")]
    return "\n---\n".join(text.removeprefix("---\n") for text in texts if text) + "\n"


def objects(manifests: str) -> list[dict[str, Any]]:
    """Parses manifests."""
    return [each for each in yaml.load_all(manifests, yaml.CSafeLoader) if each]  # 10 x as fast


def kubernetes_yaml() -> str:
    """Returns what ``deploy/kubernetes.yaml`` must hold."""
    return HEADER + render(yaml.safe_load(VALUES.read_text()))


if __name__ == "__main__":
    MANIFESTS.write_text(kubernetes_yaml())
