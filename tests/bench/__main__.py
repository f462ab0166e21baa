"""Runs the benchmark: every case on every server in turn, round after round, and prints the table.

A figure is the median of its rounds; a ratio is the median of the rounds' ratios, each of two
measurements that followed each other, so that a machine whose speed drifts does not show in it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import beside, load, servers
from tests.bench.cases import Case, cases

SERVERS = ("service", "limit-ort", "limit", "tutorial")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="model repository")
    parser.add_argument("--version", default="1", help="the version that all serve (default: 1)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    tool = load.require()
    chosen = [case for case in cases() if options.only in case.name]
    running = {n: servers.start(n, options.models, options.version) for n in SERVERS}
    try:
        warm_up(chosen, running)
        rounds = [one_round(chosen, running, options.seconds) for _ in range(options.rounds)]
        held_up = beside.rows(running["service"], options.rounds, options.seconds)
        memory = running["service"].memory_mb()
    finally:
        for server in running.values():
            server.stop()
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "load": tool,
        "ready_s": round(running["service"].ready_s, 3),
        "memory_mb": round(memory, 1),
        "rows": [summary(case, rounds) for case in chosen],
        "beside": held_up,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1))
    print(table(report))


def warm_up(chosen: list[Case], running: dict[str, servers.Server]) -> None:
    for case in chosen:
        for work in case.works:
            load.measure(work, running[work.server], 1)


def one_round(
    chosen: list[Case], running: dict[str, servers.Server], seconds: int
) -> dict[str, dict[str, dict[str, float]]]:
    """Figures by case and server."""
    return {
        case.name: {
            work.server: load.measure(work, running[work.server], seconds) for work in case.works
        }
        for case in chosen
    }


def summary(case: Case, rounds: list[dict[str, dict[str, dict[str, float]]]]) -> dict[str, Any]:
    """One row: each server's median figure, and the service's relation to ``limit-ort``."""
    names = [work.server for work in case.works]
    figures = {n: [r[case.name][n][case.figure] for r in rounds] for n in names}
    pairs = list(zip(figures["service"], figures["limit-ort"], strict=True))
    if case.figure == "p50_us":
        relation = statistics.median(ours - theirs for ours, theirs in pairs)
    else:
        relation = statistics.median(ours / theirs for ours, theirs in pairs)
    return {
        "case": case.name,
        "figure": case.figure,
        "median": {n: round(statistics.median(values), 1) for n, values in figures.items()},
        "to_limit_ort": round(relation, 2),
        "target": case.target,
        "all": figures,
    }


def table(report: dict[str, Any]) -> str:
    """The report as a Markdown table, with the lines that say how it was got."""
    lines = [
        "| work | figure | " + " | ".join(SERVERS) + " | service to limit-ort | target |",
        "| --- | --- |" + " ---: |" * len(SERVERS) + " ---: | --- |",
    ]
    for row in report["rows"]:
        cells = [f"{row['median'][n]:,.0f}" if n in row["median"] else "" for n in SERVERS]
        relation = row["to_limit_ort"]
        told = f"{relation:+.0f} us" if row["figure"] == "p50_us" else f"{relation:.2f}"
        lines.append(f"| {' | '.join([row['case'], row['figure'], *cells, told, row['target']])} |")
    lines += ["", "| one caller, beside | p50, us | p99, us |", "| --- | ---: | ---: |"]
    lines += [f"| {r['beside']} | {r['p50_us']:,} | {r['p99_us']:,} |" for r in report["beside"]]
    lines.append("")
    lines.append(
        f"ready {report['ready_s']} s after exec, {report['memory_mb']} MB PSS after the load"
    )
    lines.append(
        f"{report['machine']}, Python {report['python']}, {report['load']}, {report['when']}"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
