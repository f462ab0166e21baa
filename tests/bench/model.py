"""Measures a run of the champion beside its float32 parent and a reference network.

    python -m tests.bench.model

The reference is a usual small network: Conv 5x5/s2 32, 3x3 32, 3x3/s2 64, 3x3 64, 3x3 128, global
average pooling, in float32. It and the parent are built untrained, since weights take no other time
than other weights. One pinned thread, the options that serve, and that thread's CPU time, so that
others on the machine take none of it. The networks take turns, round after round: a figure is the
median of its rounds, a ratio to the reference the median of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from service.inference.runtime import Runtime
from service.models.repository import Repository
from service.types import Images
from tests.bench.cases import first_images
from tests.bench.report import finish, markdown, place_and_time
from training.config import Config
from training.network.load_tensorflow import quiet_stderr

REFERENCE = {"architecture": "cnn", "filters": (32, 32, 64, 64, 128), "batch_normalization": True}
# The settings of a card that make the network.
NETWORK = [
    "architecture",
    "filters",
    "hidden_units",
    "activation",
    "batch_normalization",
    "dropout",
]
BATCHES = (1, 64)
# Of the reference's time, by batch size: what the served file may take.
TARGETS = {1: 50 / 88, 64: 40 / 84}
SECONDS = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.model", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="model repository")
    parser.add_argument("--version", type=int, help="what is measured (default: the champion)")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("build/model.json"))
    options = parser.parse_args()
    repository = Repository(options.models)
    version = options.version or repository.champion()
    networks = load(repository, version)
    core = min(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    rounds = [one_round(networks) for _ in range(options.rounds)]
    report = {
        **place_and_time(),
        "onnxruntime": onnxruntime.__version__,
        "version": version,
        "rounds": options.rounds,
        "rows": [summary(name, rounds) for name in networks],
    }
    finish(report, options.out, table(report))


def load(repository: Repository, version: int) -> dict[str, Runtime]:
    """The reference, the version's network in float32, and the version as it serves."""
    settings = repository.card(version)["settings"]
    if "architecture" not in settings:
        raise SystemExit(f"bench: version {version} was imported: its float32 network is not known")
    own = {name: value for name, value in settings.items() if name in NETWORK}
    served = f"version {version} as served, {settings.get('weights', 'float32')}"
    return {
        "reference, float32": untrained(Config.model_validate(REFERENCE)),
        f"version {version}'s network, float32": untrained(Config.model_validate(own)),
        served: Runtime.load(repository.read_model(version), provider="cpu"),
    }


def untrained(config: Config) -> Runtime:
    """A network of random weights, exported and loaded as one that serves."""
    with quiet_stderr():
        from training.export import convert
        from training.network import architectures
    classifier = architectures.with_probabilities(architectures.build(config))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        convert.export(classifier, path)
        return Runtime.load(path.read_bytes(), provider="cpu")


def one_round(networks: Mapping[str, Runtime]) -> dict[str, dict[int, float]]:
    """Microseconds a row by network and batch size."""
    found: dict[str, dict[int, float]] = {name: {} for name in networks}
    for size in BATCHES:
        images = first_images(size)
        for name, runtime in networks.items():
            found[name][size] = microseconds_a_row(runtime, images)
    return found


def microseconds_a_row(runtime: Runtime, images: Images) -> float:
    """Of this thread's time, over runs of :data:`SECONDS` together."""
    runtime.run(images)
    runs, began = 0, time.thread_time()
    while (taken := time.thread_time() - began) < SECONDS:
        runtime.run(images)
        runs += 1
    return taken / runs / len(images) * 1e6


def summary(name: str, rounds: list[dict[str, dict[int, float]]]) -> dict[str, Any]:
    """One network's median times and their medians' relation to the reference's, by batch size."""
    reference = next(iter(rounds[0]))
    return {
        "network": name,
        "us_a_row": {n: round(statistics.median(r[name][n] for r in rounds), 1) for n in BATCHES},
        "to_reference": {
            n: round(statistics.median(r[name][n] / r[reference][n] for r in rounds), 3)
            for n in BATCHES
        },
    }


def table(report: dict[str, Any]) -> str:
    """Returns the report as Markdown."""
    rows = []
    for row in report["rows"]:
        times = [f"{row['us_a_row'][n]:.1f}" for n in BATCHES]
        ratios = [f"{row['to_reference'][n]:.3f}" for n in BATCHES]
        rows.append([row["network"], *times, *ratios])
    head = ["network", "us at batch 1", "us a row at batch 64", "to reference, 1", "64"]
    targets = " and ".join(f"{TARGETS[n]:.3f} at batch {n}" for n in BATCHES)
    return (
        f"{markdown(head, rows)}\n\ntarget, as served to reference: at most {targets}\n"
        f"one pinned thread, {report['rounds']} rounds, onnxruntime {report['onnxruntime']}, "
        f"{report['machine']}, load average {report['load_average']:.1f}, {report['when']}"
    )


if __name__ == "__main__":
    main()
