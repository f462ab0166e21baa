"""More load than one core carries: how much is still answered well, and how soon all is as before.

Callers pause at random between two requests, so that together they ask for the given multiple of
what the service answers at its best. The least of them is served in time; the others are refused
with 429, or wait for room where they ask again at once. A thousand connections by themselves take a
sixth of what any server here answers, the bare one too: they do not fit into the core's cache.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from tests.bench import load
from tests.bench.cases import Work
from tests.bench.servers import Server

CALLERS = (256, 1000)
PEAK_CALLERS = (8, 32, 128)
TIMES = (2, 5)


def rows(server: Server, works: dict[str, Work], seconds: int) -> list[dict[str, object]]:
    """For each work and multiple of its peak: goodput, its share of the peak, and the rest."""
    alone = replace(next(iter(works.values())), connections=1)
    found: list[dict[str, object]] = []
    for name, work in works.items():
        peak = max(_good_s(server, replace(work, connections=n), seconds) for n in PEAK_CALLERS)
        for callers, times in product(CALLERS, TIMES):
            before = load.measure(alone, server, seconds)["p50_us"]
            pause_ms = 1e3 * callers / (times * peak)
            crowd = replace(work, connections=callers)
            got = load.measure(crowd, server, seconds + 1, pause_ms=pause_ms)
            after = load.measure(alone, server, seconds, pause_ms=0.0)["p50_us"]
            found.append(
                {
                    "work": name,
                    "times": times,
                    "callers": callers,
                    "peak_s": round(peak),
                    "good_s": round(got["good"] / got["seconds"]),
                    "of_peak": round(got["good"] / got["seconds"] / peak, 2),
                    "refused_s": round(got["refused"] / got["seconds"]),
                    "late_s": round(got["late"] / got["seconds"]),
                    "p99_good_ms": round(got["p99_good_us"] / 1e3, 1),
                    "memory_mb": round(server.memory_mb(), 1),
                    "recovered": round(after / before, 2),
                }
            )
    return found


def _good_s(server: Server, work: Work, seconds: int) -> float:
    """The requests answered a second by callers who ask again at once."""
    got = load.measure(work, server, seconds)
    return got["requests"] / got["seconds"]
