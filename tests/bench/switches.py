"""Switches the champion back and forth under a steady load, and prints what that cost.

    python -m tests.bench.switches

Two workers serve copies of two committed versions that answer some test images differently, so
that each answer proves which version gave it. The load is open: requests are due at a fixed rate,
and a request's time counts from when it was due. The switches come in rounds, each after as long a
time without any: the ratio is the median of the rounds' ratios, so that a machine whose speed
drifts does not show in it. After that, one worker switches as often as asked, and its memory is
watched.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.inference.runtime import Runtime
from service.models.repository import Repository
from service.types import Images
from tests.bench.cases import first_images
from tests.bench.report import finish, markdown, place_and_time
from tests.bench.servers import memory_mb
from tests.server import serving, wait_until
from tests.steady import Asked, Steady
from tests.two_versions import kinds

QUIET = ("--no-access-log", "--provider", "cpu")
SETTLED_SECONDS = 1.5
"""By when the last switch of a round is over."""
MEMORY = ("first", "settled", "last", "most")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.switches", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="model repository")
    parser.add_argument("--versions", type=int, nargs=2, default=[1, 2])
    parser.add_argument("--switches", type=int, default=50)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two switches")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--max-loaded", default="1", help="1: every switch loads (default)")
    parser.add_argument("--memory-switches", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("build/switches.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="switches-") as folder:
        models = Path(folder) / "models"
        for version in options.versions:
            shutil.copytree(options.models / f"mnist/{version}", models / f"mnist/{version}")
        name_champion(models, options.versions[0])
        images = telling_images(models, options.versions)
        report = {
            **place_and_time(),
            "switches": switches(models, images, options),
            "memory": memory(models, options.versions, options.memory_switches),
        }
    finish(report, options.out, table(report))


def telling_images(models: Path, versions: Sequence[int]) -> Images:
    """Four test images in which the versions see different digits."""
    images = first_images(10_000)
    repository = Repository(models)
    digits = [
        Runtime.load(repository.read_model(version), provider="cpu").run(images).argmax(axis=1)
        for version in versions
    ]
    return np.ascontiguousarray(images[digits[0] != digits[1]][:4])


def name_champion(models: Path, version: int) -> None:
    """What ``models promote`` does last: the file is renamed into place."""
    fresh = models / "mnist/.champion"
    fresh.write_text(f"{version}\n")
    fresh.replace(models / "mnist/champion")


def switches(models: Path, images: Images, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of the load without and with switches."""
    each = options.switches // options.rounds
    begun: list[tuple[float, float, float]] = []
    flags = ("--workers", "2", "--max-loaded", options.max_loaded, *QUIET)
    with serving(models, models.parent / "log", *flags) as server:
        wait_until(lambda: server.metric("mnist_workers") == 2, 60)
        kinds_of_requests = kinds(models, tuple(options.versions), images)
        load = Steady(
            server.host, server.port, kinds_of_requests, options.rate, options.connections
        )

        async def work() -> None:
            running = asyncio.create_task(load.run())
            await asyncio.sleep(2)
            turn = 0
            for _ in range(options.rounds):
                before = time.perf_counter()
                await asyncio.sleep(each * options.every)
                switching = time.perf_counter()
                for _ in range(each):
                    turn += 1
                    name_champion(models, options.versions[turn % 2])
                    await asyncio.sleep(options.every)
                await asyncio.sleep(SETTLED_SECONDS)
                begun.append((before, switching, time.perf_counter()))
            load.stopped = True
            await running

        asyncio.run(work())
    rounds = [
        (between(load.asked, before, switching), between(load.asked, switching, end))
        for before, switching, end in begun
    ]
    before, during = ([a for r in rounds for a in r[part]] for part in (0, 1))
    ratios = [percentiles(r[1])["p99"] / percentiles(r[0])["p99"] for r in rounds]
    return {
        "count": each * options.rounds,
        "requests": len(load.asked),
        "failed": sum(a.fault is not None for a in load.asked),
        "faults": sorted({a.fault for a in load.asked if a.fault})[:10],
        "seen": {str(v): sum(a.version == str(v) for a in during) for v in options.versions},
        "before_ms": percentiles(before),
        "during_ms": percentiles(during),
        "p99_ratio": round(statistics.median(ratios), 2),
        "p99_ratios": [round(ratio, 2) for ratio in ratios],
    }


def between(asked: Sequence[Asked], begin: float, end: float) -> list[Asked]:
    """The requests that were due in this time."""
    return [each for each in asked if begin <= each.due < end]


def percentiles(asked: Sequence[Asked]) -> dict[str, float]:
    """Of the requests' times, in milliseconds."""
    times = np.array([each.seconds for each in asked]) * 1e3
    points = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "max": 100}
    return {name: round(float(np.percentile(times, point)), 3) for name, point in points.items()}


def memory(models: Path, versions: Sequence[int], count: int) -> dict[str, Any]:
    """One worker's memory over many switches, each loaded anew and seen to answer."""
    figures = []
    flags = ("--max-loaded", "1", *QUIET)
    with serving(models, models.parent / "log", *flags) as server:
        for turn in range(count):
            version = versions[turn % 2]
            name_champion(models, version)
            assert server.post("/v2/repository/models/mnist/load", b"").status == 200
            answer = server.post("/predict", bytes(784), "application/octet-stream")
            assert answer.json()["version"] == str(version)
            figures.append(round(memory_mb(server.process.pid), 1))
        loads = server.metric("mnist_model_loads_total", result="loaded")
    tenth = max(1, count // 10)
    return {
        "switches": count,
        "loads": int(loads),
        "first_mb": figures[0],
        "settled_mb": round(statistics.median(figures[tenth : 2 * tenth]), 1),
        "last_mb": round(statistics.median(figures[-tenth:]), 1),
        "most_mb": max(figures),
        "figures": figures[:: max(1, count // 100)],
    }


def table(report: dict[str, Any]) -> str:
    """Returns the report as Markdown."""
    switched, grown = report["switches"], report["memory"]
    rows = [
        [f"ms, {label} switches", *(f"{value:.2f}" for value in switched[part].values())]
        for label, part in (("without", "before_ms"), (f"with {switched['count']}", "during_ms"))
    ]
    head = [f"{switched['requests']} requests", *switched["before_ms"]]
    sizes = ", ".join(f"{name} {grown[name + '_mb']}" for name in MEMORY)
    return (
        f"{markdown(head, rows)}\n\n"
        f"failed: {switched['failed']} {switched['faults'] or ''}; by version: {switched['seen']}\n"
        f"p99 with / without: {switched['p99_ratio']} (target <= 1.5) {switched['p99_ratios']}\n"
        f"memory over {grown['switches']} switches, {grown['loads']} loads, in MB: {sizes}\n"
        f"{report['machine']}, load average {report['load_average']:.1f}, {report['when']}"
    )


if __name__ == "__main__":
    main()
