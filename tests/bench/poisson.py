"""An open loop: requests come at random, whether or not the ones before were answered.

NVIDIA's perf_analyzer sends v2 binary tensors, of so many images that it can ask for more than the
server carries. It counts from when a request was sent; the share that was sent later than it was
due, since all its threads were waiting for answers, is told too. Its ``--async`` is not used: above
what the server carries it opens connections without end, and tells any that fails as "the document
is empty".
"""

from __future__ import annotations

import csv
import re
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

from tests.bench import load
from tests.bench.cases import OCTETS, Work, first_images, v2_request
from tests.bench.servers import LOAD_CORE, Server

SHARES = (0.25, 0.5, 0.8, 0.95)
IMAGES, SECONDS = 32, 3
THREADS = 64
"""Each sends one request at a time, so they have to be more than are ever under way."""


def program() -> Path | None:
    """perf_analyzer, where it is installed and runs."""
    package = find_spec("perf_analyzer")
    if package is None or package.origin is None:
        return None
    found = Path(package.origin).parent / "bin" / "perf_analyzer"
    try:
        tried = subprocess.run([found, "--version"], capture_output=True, check=False)
    except OSError:
        return None
    return found if tried.returncode == 0 else None


def rows(server: Server, seconds: int) -> list[dict[str, object]]:
    """The latency at shares of what a closed loop got from the server; none without the tool."""
    tool = program()
    if tool is None:
        print("bench: perf_analyzer is not installed or does not run here: no open loop")
        return []
    path, body, headers = v2_request(first_images(IMAGES))
    work = Work(server.name, path, body, OCTETS, 32, IMAGES, headers)
    capacity_s = load.measure(work, server, seconds)["images_s"] / IMAGES
    return [
        {"server": server.name, "share": share, **_measure(tool, server, share * capacity_s)}
        for share in SHARES
    ]


def _measure(tool: Path, server: Server, rate: float) -> dict[str, object]:
    with tempfile.NamedTemporaryFile(suffix=".csv") as table:
        address = f"127.0.0.1:{server.port}"
        command = ["taskset", "-c", LOAD_CORE, str(tool), "-m", "mnist", "-u", address]
        command += f"-b {IMAGES} --request-rate-range {rate:.0f}".split()
        # A count of requests makes one measurement; windows of time may find none to be stable.
        command += f"--request-count {rate * SECONDS:.0f} --max-threads {THREADS}".split()
        command += ["--request-distribution", "poisson", "-f", table.name]
        try:
            ran = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=10 * SECONDS
            )
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError) as error:
            raise SystemExit(f"bench: perf_analyzer: {error}: {error.stdout!r}") from error
        (read,) = csv.DictReader(Path(table.name).read_text().splitlines())
    late = re.search(r"([\d.]+)% of the requests were delayed", ran.stdout)
    return {
        "rate_s": round(rate),
        "p50_us": round(float(read["p50 latency"])),
        "p99_us": round(float(read["p99 latency"])),
        "sent_late": float(late[1]) / 100 if late else 0.0,
    }
