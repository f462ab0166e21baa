"""The load: wrk, on the other core."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.cases import Work
from tests.bench.servers import LOAD_CORE, Server

SCRIPT = Path(__file__).with_name("load.lua")


def require() -> str:
    """The load tool's name and version, or the end of the run with one line."""
    if shutil.which("wrk") is None:
        raise SystemExit("bench: wrk is not installed; on Debian and Ubuntu: apt install wrk")
    shown = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return " ".join(shown.split()[:2])


def measure(
    work: Work, server: Server, seconds: int, *, pause_ms: float | None = None
) -> dict[str, float]:
    """Sends ``work`` for a while, and gives what came of it; a failed request ends the run.

    Each connection asks again at once, or after pauses of ``pause_ms`` in the mean; with pauses,
    answers 429 and 504 are counted as ``refused`` and ``late`` and not as failures.
    ``cpu_us`` is the server's CPU time a request, ``images_s`` the images answered a second.
    """
    headers = {"Content-Type": work.media_type, **work.headers}
    before = server.cpu_s()
    with tempfile.NamedTemporaryFile() as body:
        body.write(work.body)
        body.flush()
        environment = {
            **os.environ,
            "BENCH_BODY": body.name,
            "BENCH_HEADERS": "\n".join(f"{name}: {value}" for name, value in headers.items()),
        }
        if pause_ms is not None:
            environment["BENCH_PAUSE_MS"] = str(pause_ms)
        options = f"-t1 -c{work.connections} -d{seconds}s --timeout 30s -s {SCRIPT}"
        url = f"http://127.0.0.1:{server.port}{work.path}"
        command = ["taskset", "-c", LOAD_CORE, "wrk", *options.split(), url]
        out = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout
    spent = server.cpu_s() - before
    result: dict[str, float] = json.loads(out.rsplit("RESULT", 1)[1])
    if result["failed"] or not result["requests"]:
        told = f"{result['requests']:.0f} requests answered, {result['failed']:.0f} failed"
        raise SystemExit(f"bench: {server.name} {work.path}: {told}")
    result["cpu_us"] = spent / result["requests"] * 1e6
    result["images_s"] = result["requests"] * work.images / result["seconds"]
    return result


@contextmanager
def committed(offend: Callable[..., None], *arguments: Any) -> Iterator[Counter[int]]:
    """Runs ``offend(*arguments, pipe)`` in a process meanwhile; then has the statuses it got."""
    statuses = Counter[int]()
    mine, its = multiprocessing.Pipe()
    spawn = multiprocessing.get_context("spawn")
    process = spawn.Process(target=offend, args=(*arguments, its))
    process.start()
    mine.recv()
    try:
        yield statuses
    finally:
        mine.send("stop")
        statuses.update(mine.recv())
        process.join()
