"""The load: wrk, a closed loop on the other core."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.bench.cases import Work
from tests.bench.servers import LOAD_CORE, Server

SCRIPT = Path(__file__).with_name("load.lua")


def require() -> str:
    """The load tool's name and version, or the end of the run with one line."""
    if shutil.which("wrk") is None:
        raise SystemExit("bench: wrk is not installed; on Debian and Ubuntu: apt install wrk")
    shown = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return " ".join(shown.split()[:2])


def measure(work: Work, server: Server, seconds: int) -> dict[str, float]:
    """Sends ``work`` for a while, and gives what came of it; a failed request ends the run.

    ``cpu_us`` is the server's CPU time a request, ``images_s`` the images answered a second.
    """
    headers = {"Content-Type": work.media_type, **work.headers}
    with tempfile.NamedTemporaryFile() as body:
        body.write(work.body)
        body.flush()
        environment = {
            **os.environ,
            "BENCH_BODY": body.name,
            "BENCH_HEADERS": "\n".join(f"{name}: {value}" for name, value in headers.items()),
        }
        command = [
            "taskset",
            "-c",
            LOAD_CORE,
            "wrk",
            "-t1",
            f"-c{work.connections}",
            f"-d{seconds}s",
            "-s",
            str(SCRIPT),
        ]
        command.append(f"http://127.0.0.1:{server.port}{work.path}")
        before = server.cpu_s()
        out = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        spent = server.cpu_s() - before
    result: dict[str, float] = json.loads(out.rsplit("RESULT", 1)[1])
    if result["failed"] or not result["requests"]:
        raise SystemExit(
            f"bench: {server.name} {work.path}: {result['failed']:.0f} requests failed"
        )
    result["cpu_us"] = spent / result["requests"] * 1e6
    result["images_s"] = result["requests"] * work.images / result["seconds"]
    return result
