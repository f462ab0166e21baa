"""Simulates p99 against load, for the queue as built and for what it could be without its parts.

    python -m tests.bench.scale --plot docs/scale.png

First it measures this machine: the CPU time of a run by its rows, and that of a request around the
run, with the real service. Then it simulates Poisson arrivals of requests of one image:

- one core that runs each request alone, and one that runs what has arrived together, as the service
  does at the end of each turn of its event loop, up to 64 rows;
- the same core with a caller that always has 4,096 images waiting: in the order of arrival, and in
  turns of pieces, as the service does;
- 16 such cores behind a balancer that picks one at random, or the emptier of two; and with a second
  copy of a request for another core after a delay (hedging), where a core now and then stalls.

Load is that of the requests as a share of what one core can do alone, request by request.
"""

from __future__ import annotations

import argparse
import heapq
import os
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.inference.runtime import Runtime
from service.models.repository import Repository
from tests.bench.cases import first_images
from tests.bench.report import finish, markdown, place_and_time
from tests.server import serving

SIZES = (1, 2, 4, 8, 16, 32, 64)
LOADS = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.2, 1.5)
REQUESTS = 40_000
CALLERS = 16
CORES, LARGE, PIECE, STALL_SHARE, STALL_S = 16, 4096, 16, 1 / 2000, 0.020
"""A piece is a quarter of a batch of 64, while small requests come. The stall is an assumption: the
kernel gives the core to another process for its slice."""
Times = NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """Seconds: of a request without its run, and of a run by its rows."""

    request: float
    runs: Times

    def run(self, rows: int) -> float:
        return float(np.interp(rows, SIZES, self.runs)) if rows <= 64 else rows / 64 * self.runs[-1]

    def turn(self, requests: int) -> float:
        return requests * self.request + self.run(requests)


def measure(models: Path) -> Costs:
    repository = Repository(models)
    runtime = Runtime.load(repository.read_model(repository.champion()), provider="cpu")
    runs = []
    for size in SIZES:
        images, found = first_images(size), []
        for _ in range(60):
            began = time.thread_time()
            runtime.run(images)
            found.append(time.thread_time() - began)
        runs.append(statistics.median(found))
    with tempfile.TemporaryDirectory() as folder, serving(models, Path(folder) / "log") as server:
        body = first_images(1).tobytes()

        def ask(count: int) -> None:
            connection = HTTPConnection(server.host, server.port)
            for _ in range(count):
                headers = {"Content-Type": "application/octet-stream"}
                connection.request("POST", "/predict", body, headers)
                connection.getresponse().read()
            connection.close()

        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(ask, [20] * CALLERS))
            before, count = cpu_seconds(server.process.pid), 500
            list(pool.map(ask, [count] * CALLERS))
            each = (cpu_seconds(server.process.pid) - before) / count / CALLERS
    return Costs(max(each - runs[0], 1e-6), np.array(runs))


def cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def arrivals(rate: float, seed: int = 0) -> Times:
    gaps = np.random.default_rng(seed).exponential(1 / rate, REQUESTS)
    return np.cumsum(gaps)


def one_core(costs: Costs, rate: float, most: int) -> Times:
    """Latencies where a turn takes up to ``most`` of the requests that have arrived."""
    times = arrivals(rate)
    ends = np.empty_like(times)
    now, first = 0.0, 0
    while first < len(times):
        now = max(now, times[first])
        last = min(int(np.searchsorted(times, now, side="right")), first + most)
        now += costs.turn(last - first)
        ends[first:last] = now
        first = last
    return ends - times


def beside_large(costs: Costs, rate: float, piece: int) -> Times:
    """Latencies of small requests beside a caller with images for ever, ``piece`` at a time."""
    times = arrivals(rate)
    ends = np.empty_like(times)
    now, first = 0.0, 0
    while first < len(times):
        now += costs.run(piece)
        waiting = int(np.searchsorted(times, now, side="right"))
        while first < waiting:  # those that came before the other's next request, or piece
            last = min(waiting, first + 64)
            now += costs.turn(last - first)
            ends[first:last] = now
            first = last
    return ends - times


class Fleet:
    """Cores with a queue each; a request may have copies, of which the first answers."""

    def __init__(self, costs: Costs, seed: int = 1) -> None:
        self.costs, self.random = costs, np.random.default_rng(seed)
        self.queues: list[deque[int]] = [deque() for _ in range(CORES)]
        self.busy = [False] * CORES
        self.events: list[tuple[float, int, str, Any]] = []
        self.count = 0

    def at(self, when: float, kind: str, what: Any) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, kind, what))

    def pick(self, *, two: bool) -> int:
        one, other = self.random.integers(0, CORES, 2)
        emptier = len(self.queues[other]) + self.busy[other] < (
            len(self.queues[one]) + self.busy[one]
        )
        return int(other if two and emptier else one)

    def start(self, core: int, now: float, ends: Times) -> None:
        taken = list[int]()
        while self.queues[core] and len(taken) < 64:
            request = self.queues[core].popleft()
            if np.isnan(ends[request]):  # a copy that was answered elsewhere is dropped
                taken.append(request)
        self.busy[core] = bool(taken)
        if taken:
            stall = STALL_S if self.random.random() < STALL_SHARE else 0.0
            self.at(now + self.costs.turn(len(taken)) + stall, "done", (core, taken))

    def run(self, rate: float, *, two: bool, hedge_s: float | None) -> tuple[Times, float]:
        """Returns the latencies, and how many copies each request had in the mean."""
        times = arrivals(rate * CORES)
        ends = np.full(len(times), np.nan)
        copies = 0
        for request, when in enumerate(times):
            self.at(float(when), "come", request)
        while self.events:
            now, _, kind, what = heapq.heappop(self.events)
            if kind == "done":
                core, taken = what
                for request in taken:
                    if np.isnan(ends[request]):
                        ends[request] = now
                self.start(core, now, ends)
            elif np.isnan(ends[what]):
                core, copies = self.pick(two=two), copies + 1
                self.queues[core].append(what)
                if kind == "come" and hedge_s is not None:
                    self.at(now + hedge_s, "hedge", what)
                if not self.busy[core]:
                    self.start(core, now, ends)
        return ends - times, copies / len(times)


def p99_ms(latencies: Times) -> float:
    kept = latencies[len(latencies) // 10 :]  # the queues fill first
    return float(np.percentile(kept, 99)) * 1e3


def simulate(costs: Costs) -> dict[str, list[float]]:
    """p99 in milliseconds by curve, at each of LOADS."""
    alone = 1 / costs.turn(1)

    def fleet(load: float, *, two: bool, hedged: bool) -> float:
        hedge_s = 5e-3 if hedged else None
        return p99_ms(Fleet(costs).run(load * alone, two=two, hedge_s=hedge_s)[0])

    curves: dict[str, Callable[[float], float]] = {
        "a core, each alone": lambda load: p99_ms(one_core(costs, load * alone, 1)),
        "a core, batches (as built)": lambda load: p99_ms(one_core(costs, load * alone, 64)),
        "beside 4,096 images, in order": lambda load: p99_ms(
            beside_large(costs, load * alone, LARGE)
        ),
        "beside 4,096 images, in turns (as built)": lambda load: p99_ms(
            beside_large(costs, load * alone, PIECE)
        ),
        "16 cores with stalls, random": lambda load: fleet(load, two=False, hedged=False),
        "the same, emptier of two": lambda load: fleet(load, two=True, hedged=False),
        "the same, and hedged after 5 ms": lambda load: fleet(load, two=True, hedged=True),
    }
    with ThreadPoolExecutor(1) as pool:
        return {name: list(pool.map(curve, LOADS)) for name, curve in curves.items()}


def plot(curves: dict[str, list[float]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4), sharey=True)
    names = list(curves)
    for axis, part in zip(axes, (names[:2], names[2:4], names[4:]), strict=True):
        for name in part:
            axis.plot(LOADS, curves[name], marker="o", markersize=3, label=name)
        axis.set(yscale="log", ylim=(0.05, 2000), xlabel="load, of a core's requests one by one")
        axis.grid(visible=True, which="both", alpha=0.3)
        axis.legend(fontsize=8)
    axes[0].set_ylabel("p99, ms")
    figure.tight_layout()
    figure.savefig(path, dpi=90, metadata={"Software": None})


def table(costs: Costs, curves: dict[str, list[float]]) -> str:
    head = ["p99 in ms at a load of", *(f"{load:.0%}" for load in LOADS)]
    rows = [[name, *map(figure, found)] for name, found in curves.items()]
    runs = ", ".join(
        f"{size}: {run * 1e6:.0f}" for size, run in zip(SIZES, costs.runs, strict=True)
    )
    around = f"A request costs {costs.request * 1e6:.0f} µs around its run; a run, by rows, in µs: "
    return f"{markdown(head, rows)}\n\n{around}{runs}."


def figure(value: float) -> str:
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="model repository")
    parser.add_argument("--plot", type=Path, help="the picture to draw")
    parser.add_argument("--out", type=Path, default=Path("build/scale.json"))
    options = parser.parse_args(words)
    costs = measure(options.models)
    curves = simulate(costs)
    if options.plot:
        plot(curves, options.plot)
    report = {**place_and_time(), "request_s": costs.request, "runs_s": costs.runs.tolist()}
    finish(report | {"loads": LOADS, "p99_ms": curves}, options.out, table(costs, curves))


if __name__ == "__main__":
    main()
