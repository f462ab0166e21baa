"""Prints a report of the benchmark as Markdown.

    python -m tests.bench.table build/bench.json
    python -m tests.bench.table build/bench.json --into docs/performance.md

The second writes it between the file's lines ``<!-- bench -->`` and ``<!-- /bench -->``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tests.bench.beside import target_us
from tests.bench.report import markdown
from tests.bench.rpc import table as rpc_table

SERVERS = ("serve", "asgi", "limit-ort", "limit", "tutorial")
FIGURES = {"cpu_us": "CPU, µs a request", "images_s": "images/s", "p50_us": "p50, µs"}
BEGIN, END = "<!-- bench -->\n", "<!-- /bench -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.table", description=__doc__)
    parser.add_argument("report", type=Path, nargs="?", default=Path("build/bench.json"))
    parser.add_argument("--into", type=Path, help="the file to write it into")
    options = parser.parse_args()
    text = render(json.loads(options.report.read_text()))
    if options.into is None:
        print(text)
        return
    before, begin, rest = options.into.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{options.into} has no lines {BEGIN.strip()} and {END.strip()}")
    options.into.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}")


def render(report: dict[str, Any]) -> str:
    """All tables, with the line that says where the figures were measured."""
    shown = (
        ("rows", _cases),
        ("log", _log),
        ("keys", _keys),
        ("capture", _capture),
        ("rpc", rpc_table),
        ("poisson", _poisson),
        ("beside", _beside),
        ("shares", _shares),
    )
    parts = [show(report) for name, show in (*shown, ("overload", _overload)) if name in report]
    where = f"{report['machine']}, Python {report['python']}, {report['load']}"
    parts.append(f"Version {report['version']} on one core, {where}; {report['when'][:10]}.")
    return "\n\n".join(part for part in parts if part)


def _cases(report: dict[str, Any]) -> str:
    rows = []
    for row in report["rows"]:
        figures = [f"{row['median'][n]:,.0f}" if n in row["median"] else "" for n in SERVERS]
        ratios = f"{row['serve_to_limit_ort']:.2f} x", f"{row['asgi_to_serve']:.2f} x"
        rows.append([row["case"], FIGURES[row["figure"]], *figures, *ratios, row["target"]])
    for name, figure, target in (("ready_s", "s", "<= 0.7 s"), ("memory_mb", "MB", "<= 110 MB")):
        got = report.get(name, {})
        label = "ready from exec" if name == "ready_s" else "memory (PSS) after the load"
        figures = [f"{got[n]:,.3g}" if n in got else "" for n in SERVERS]
        rows.append([label, figure, *figures, "", "", target])
    return markdown(
        ["work", "figure", *SERVERS, "serve to limit-ort", "asgi to serve", "target of serve"],
        rows,
        left=2,
    )


def _log(report: dict[str, Any]) -> str:
    log = report["log"]
    return (
        f"A line in the log for each request adds {log['added_us']:.0f} µs to the "
        f"{log['off_us']:.0f} µs of a raw one; the table is without."
    )


def _keys(report: dict[str, Any]) -> str:
    keys = report["keys"]
    return (
        f"A key with a rate adds {keys['added_us']:.1f} µs to the {keys['off_us']:.0f} µs of a raw "
        "request (<= 3)."
    )


def _capture(report: dict[str, Any]) -> str:
    ratio = report["capture"]["ratio"]
    return f"With 1 % of the requests captured a raw one takes {ratio:.2f} x the CPU (<= 1.05 x)."


def _poisson(report: dict[str, Any]) -> str:
    rows = [
        [
            row["server"],
            f"{row['share']:.0%}",
            *(f"{row[name]:,}" for name in ("rate_s", "p50_us", "p99_us")),
            f"{row['sent_late']:.0%}",
        ]
        for row in report["poisson"]
    ]
    head = ["Poisson arrivals of 32 images", "of capacity", "requests/s", "p50, µs", "p99, µs"]
    return markdown([*head, "sent late"], rows)


def _beside(report: dict[str, Any]) -> str:
    rows = []
    for row in report["beside"]:
        to_alone = row["p99_us"] / report["beside"][0]["p99_us"]
        rows.append(
            [row["beside"], f"{row['p50_us']:,}", f"{row['p99_us']:,}", f"{to_alone:.2f} x"]
        )
    return markdown(["one caller beside", "p50, µs", "p99, µs", "to alone (<= 2 x)"], rows)


def _shares(report: dict[str, Any]) -> str:
    rows = [
        [
            row["beside"],
            row["kind"],
            *(f"{row[name] / 1e3:,.2f}" for name in ("alone_p99_us", "p99_us")),
            f"{target_us(row) / 1e3:,.2f}",
            f"{row['refused']} of {row['good'] + row['refused']}",
            ", ".join(f"{count} x {status}" for status, count in sorted(row["offender"].items())),
        ]
        for row in report["shares"]
    ]
    head = ["fair shares: one caller beside another's", "its requests"]
    figures = ["p99 alone, ms", "p99, ms", "target", "refused", "the other's answers"]
    return markdown([*head, *figures], rows, left=2)


def _overload(report: dict[str, Any]) -> str:
    rows = [
        [
            f"{row['times']} x {row['work']}",
            *(f"{row[name]:,}" for name in ("callers", "peak_s", "good_s")),
            f"{row['of_peak']:.2f}",
            f"{row['bare_of_peak']:.2f}",
            *(f"{row[name]:,}" for name in ("refused_s", "late_s", "p99_good_ms")),
            f"{row['memory_mb']:.0f}",
            f"{row['recovered']:.2f} x",
        ]
        for row in report["overload"]
    ]
    head = ["overload", "callers", "peak/s", "good/s", "of peak (>= 0.9)", "the bare server's"]
    return markdown(
        [*head, "429/s", "504/s", "p99 of the good, ms", "MB", "p50 after, to before"], rows
    )


if __name__ == "__main__":
    main()
