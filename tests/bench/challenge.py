"""Prints what a challenger in the shadow costs at half load, and what the seam costs without one.

    python -m tests.bench.challenge

The champion is challenged by a copy of itself. The phases with and without it alternate, so that
both meet the same neighbours on the machine. Server and load have a core each.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from timeit import timeit
from types import SimpleNamespace
from typing import Any

from service.challenge.challenge import Challenge
from service.observe.metrics import Metrics
from tests.bench import load, servers
from tests.bench.cases import OCTETS, Work, first_images
from tests.bench.servers import Server

CONNECTIONS, MS = 16, 1000
TARGET = 1.05
CHALLENGER = "1000"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.challenge", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="model repository")
    parser.add_argument("--rounds", type=int, default=20, help="of a phase with and one without")
    parser.add_argument("--seconds", type=int, default=2, help="of each phase")
    options = parser.parse_args()
    load.require()
    version = (options.models / "mnist/champion").read_text().strip()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in (version, CHALLENGER):
            copied = Path(folder) / "mnist" / name
            shutil.copytree(options.models / "mnist" / version, copied)
            card = json.loads((copied / "card.json").read_text())
            (copied / "card.json").write_text(json.dumps(card | {"version": name}))
        (Path(folder) / "mnist/champion").write_text(f"{version}\n")
        server = servers.start("serve", Path(folder), version)
        try:
            compared(server, options.rounds, options.seconds)
        finally:
            server.stop()
    unchallenged()


def compared(server: Server, rounds: int, seconds: int) -> None:
    """Prints the latencies of single raw requests, in alternate phases."""
    one = Work("serve", "/predict", first_images(1).tobytes(), OCTETS, CONNECTIONS, 1)
    capacity = load.measure(replace(one, connections=4), server, seconds)["images_s"]
    pause_ms = CONNECTIONS / (capacity / 2) * MS
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for number in range(2 * rounds):
        challenged = number % 2 == (number // 2) % 2  # neither is always the first
        name(server, challenged)
        found[challenged].append(load.measure(one, server, seconds, pause_ms=pause_ms))
    rate = statistics.median(each["images_s"] for each in found[False])
    print(f"{rate:,.0f} of {capacity:,.0f} requests a second, {rounds} rounds of {seconds} s")
    for figure in ("p50_us", "p99_us", "cpu_us"):
        alone, beside = ([each[figure] for each in found[kind]] for kind in (False, True))
        ratio = statistics.median(b / a for a, b in zip(alone, beside, strict=True))
        print(
            f"{figure}: {statistics.median(alone):.0f} alone, {statistics.median(beside):.0f} "
            f"challenged, ratio {ratio:.3f}" + (f" (<= {TARGET})" if figure == "p99_us" else "")
        )
    print(f"images that the challenger read: {samples(server)}")


def name(server: Server, challenged: bool) -> None:
    """Begins or ends the challenge, and returns once the service has taken that up."""
    path = server.models / "mnist/challenger"
    if challenged:
        path.write_text(f"{CHALLENGER} 0 bench\n")
    else:
        path.unlink(missing_ok=True)
    while ("mnist_challenger_info{" in scraped(server)) != challenged:
        time.sleep(0.05)


def scraped(server: Server) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics") as answer:
        text: str = answer.read().decode()
    return text


def samples(server: Server) -> str:
    lines = scraped(server).splitlines()
    return ", ".join(line[24:] for line in lines if line.startswith("mnist_challenger_images_"))


def unchallenged() -> None:
    """Prints what each answer costs while there is no challenger."""
    versions: Any = SimpleNamespace(serving=None)
    challenge = Challenge(versions, Metrics(), None)
    served: Any = object()
    count = 200_000
    choice = timeit(lambda: challenge.canary("127.0.0.1"), number=count) / count
    follow = timeit(lambda: challenge.answered(b"", "", served, served, None), number=count) / count
    print(f"without a challenger: {choice * 1e9:.0f} ns to choose, {follow * 1e9:.0f} ns to follow")


if __name__ == "__main__":
    main()
