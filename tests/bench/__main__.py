"""Runs the benchmark and prints its tables; the whole takes some eight minutes.

Every case runs on every server in turn, round after round. A figure is the median of its rounds; a
ratio is the median of the rounds' ratios, each of two measurements that followed each other, so
that a machine whose speed drifts does not show in it.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.bench import beside, load, overload, poisson, rpc, servers, wrong_keys
from tests.bench.cases import Case, Work, cases
from tests.bench.report import finish, place_and_time
from tests.bench.table import render

Round = dict[str, dict[str, dict[str, float]]]
"""Figures by case and server."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="model repository")
    parser.add_argument("--version", default="1", help="the version that all serve (default: 1)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of each measurement")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    tool = load.require()
    report: dict[str, Any] = {
        **place_and_time(),
        "python": platform.python_version(),
        "load": tool,
        "version": options.version,
    }
    chosen = [case for case in cases() if options.only in case.name]
    try:
        with all_running(options.models, options.version) as running:
            report.update(measured(chosen, running, options.rounds, options.seconds))
            folder = running["serve"].models
            report["rpc"] = rpc.rows(folder, options.version, options.rounds, options.seconds)
        places = options.models, options.version, options.seconds
        report["shares"] = [*beside.shares(*places), wrong_keys.row(*places)]
    finally:  # if one part fails, the others are kept
        finish(report, options.out, render(report))


@contextmanager
def all_running(models: Path, version: str) -> Iterator[dict[str, servers.Server]]:
    """Every server by its name, all with the same version."""
    running: dict[str, servers.Server] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        shutil.copytree(models / "mnist" / version, Path(folder) / "mnist" / version)
        (Path(folder) / "mnist/champion").write_text(f"{version}\n")
        try:
            for name in servers.NAMES:
                running[name] = servers.start(name, Path(folder), version)
            yield running
        finally:
            for server in running.values():
                server.stop()


def measured(
    chosen: list[Case], running: dict[str, servers.Server], rounds: int, seconds: int
) -> Iterator[tuple[str, Any]]:
    """Yields the figures of each part of the report."""
    service, ort = running["serve"], running["limit-ort"]
    shown = service, running["asgi"], ort
    yield "ready_s", {each.name: round(each.ready_s, 3) for each in shown}
    one_round(chosen, running, 1)
    got = [one_round(chosen, running, seconds) for _ in range(rounds)]
    yield "rows", [summary(case, got) for case in chosen]
    yield "memory_mb", {each.name: round(each.memory_mb(), 1) for each in shown}
    by_name = {case.name: case.works[0] for case in cases()}
    raw = by_name["raw, 1 image"]
    capture, log = replace(raw, server="capture"), replace(raw, server="logging")
    for name, other in (("log", log), ("keys", with_key(raw)), ("capture", capture)):
        yield name, added_cost(raw, other, running, rounds, seconds)
    yield "poisson", poisson.rows(service, seconds) + poisson.rows(ort, seconds)
    yield "beside", beside.rows(service, rounds, seconds)
    crowded = {name: by_name[name] for name in ("JSON, 64 images", "raw, 1 image")}
    yield "overload", overload.rows(service, running["limit"], crowded, seconds)


def one_round(chosen: list[Case], running: dict[str, servers.Server], seconds: int) -> Round:
    """Each case once on each of its servers."""
    return {
        case.name: {
            work.server: load.measure(work, running[work.server], seconds) for work in case.works
        }
        for case in chosen
    }


def summary(case: Case, rounds: list[Round]) -> dict[str, Any]:
    """One row: each server's median figure, and the ratios of the two doors."""
    names = [work.server for work in case.works]
    figures = {n: [r[case.name][n][case.figure] for r in rounds] for n in names}

    def ratio(one: str, other: str) -> float:
        pairs = zip(figures[one], figures[other], strict=True)
        return round(statistics.median(a / b for a, b in pairs), 3)

    return {
        "case": case.name,
        "figure": case.figure,
        "median": {n: round(statistics.median(values), 1) for n, values in figures.items()},
        "serve_to_limit_ort": ratio("serve", "limit-ort"),
        "asgi_to_serve": ratio("asgi", "serve"),
        "target": case.target,
        "all": figures,
    }


def with_key(work: Work) -> Work:
    """The same work, for the server that wants a key."""
    return replace(work, server="keys", headers=work.headers | {"X-API-Key": servers.KEY})


def added_cost(
    work: Work, other: Work, running: dict[str, servers.Server], rounds: int, seconds: int
) -> dict[str, float]:
    """CPU microseconds a request, of the one work and of the other."""
    pairs = [
        [load.measure(each, running[each.server], seconds)["cpu_us"] for each in (work, other)]
        for _ in range(rounds)
    ]
    figures = {
        "off_us": [off for off, _ in pairs],
        "on_us": [on for _, on in pairs],
        "added_us": [on - off for off, on in pairs],
        "ratio": [on / off for off, on in pairs],
    }
    return {
        name: round(statistics.median(values), 3 if name == "ratio" else 1)
        for name, values in figures.items()
    }


if __name__ == "__main__":
    main()
