"""More load than one core carries: how much is still answered well, and how soon all is as before.

Callers pause at random between two requests, so that together they ask for the given multiple of
what the service answers at its best. The least of them is served in time; the others are refused
with 429, or wait for room where they ask again at once. A thousand connections by themselves cost
every server a part of its peak, since they do not fit into the core's cache: the bare server shows
how much.
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


def rows(
    server: Server, bare: Server, works: dict[str, Work], seconds: int
) -> list[dict[str, object]]:
    """For each work and multiple of its peak: goodput, its share of the peak, and the rest.

    ``bare_of_peak`` is the share of its own peak that the bare server answers.
    """
    alone = replace(next(iter(works.values())), connections=1)
    found: list[dict[str, object]] = []
    for name, work in works.items():
        peak, bare_peak = _peak_s(server, work, seconds), _peak_s(bare, work, seconds)
        for callers, times in product(CALLERS, TIMES):
            before = load.measure(alone, server, seconds)["p50_us"]
            got = _crowded(server, work, callers, times * peak, seconds + 1)
            of_bare = _crowded(bare, work, callers, times * bare_peak, seconds + 1)
            after = load.measure(alone, server, seconds, pause_ms=0.0)["p50_us"]
            found.append(
                {
                    "work": name,
                    "times": times,
                    "callers": callers,
                    "peak_s": round(peak),
                    "good_s": round(got["good"] / got["seconds"]),
                    "of_peak": round(got["good"] / got["seconds"] / peak, 2),
                    "bare_of_peak": round(of_bare["good"] / of_bare["seconds"] / bare_peak, 2),
                    "refused_s": round(got["refused"] / got["seconds"]),
                    "late_s": round(got["late"] / got["seconds"]),
                    "p99_good_ms": round(got["p99_good_us"] / 1e3, 1),
                    "memory_mb": round(server.memory_mb(), 1),
                    "recovered": round(after / before, 2),
                }
            )
    return found


def _peak_s(server: Server, work: Work, seconds: int) -> float:
    """The most requests answered a second by callers who ask again at once."""
    few = (load.measure(replace(work, connections=n), server, seconds) for n in PEAK_CALLERS)
    return max(got["requests"] / got["seconds"] for got in few)


def _crowded(
    server: Server, work: Work, callers: int, asked_s: float, seconds: int
) -> dict[str, float]:
    """What comes of so many callers who together ask for ``asked_s`` requests a second."""
    crowd = replace(work, connections=callers)
    return load.measure(crowd, server, seconds, pause_ms=1e3 * callers / asked_s)
