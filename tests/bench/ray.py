"""Measures what the two forms of the service on Ray cost a request, and in memory.

    python -m tests.bench.ray

Ray runs on this machine with two cores; eight connections of this process ask one image after the
other. The CPU time is that of all of Ray's processes and the service's, without the callers'.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.bench.cases import first_images
from tests.bench.report import finish, markdown, place_and_time
from tests.bench.scale import cpu_seconds
from tests.server import free_port

FOLDER = Path(__file__).parents[2] / "deploy" / "ray"
CALLERS = 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ray", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"), help="model repository")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--out", type=Path, default=Path("build/ray.json"))
    options = parser.parse_args()
    models = options.models.absolute()
    paths = os.pathsep.join((str(FOLDER.parents[1]), str(FOLDER)))
    os.environ |= {
        "MNIST_MODELS": str(models),
        "PYTHONPATH": paths,
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    sys.path.insert(0, str(FOLDER))
    rows = []
    for name, start in (("Ray Serve", application), ("own door", fleet)):
        ray: Any = importlib.import_module("ray")
        ray.init(num_cpus=2, object_store_memory=100 << 20, namespace="mnist", log_to_driver=False)
        rows.append([name, *cost(start(models), options.seconds)])
        ray.shutdown()
    head = ["on Ray", "requests/s", "CPU, ms a request", "memory (PSS), MB"]
    finish({**place_and_time(), "rows": rows}, options.out, markdown(head, rows))


def application(models: Path) -> str:
    serve: Any = importlib.import_module("ray.serve")
    digits = importlib.import_module("digits")
    port = free_port()
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    fixed = digits.Digits.options(num_replicas=1, autoscaling_config=None)
    serve.run(fixed.bind(), name="mnist", route_prefix="/")
    return f"127.0.0.1:{port}"


def fleet(models: Path) -> str:
    ray: Any = importlib.import_module("ray")
    module: Any = importlib.import_module("fleet")
    one = module.Fleet.remote(1, 1, None, ["--models", str(models)])
    for _ in range(600):
        if found := ray.get(one.addresses.remote()):
            globals()["_kept"] = one  # it ends with its last handle
            return str(found[0])
        time.sleep(0.1)
    raise SystemExit("bench: no replica became ready")


def cost(address: str, seconds: float) -> list[str]:
    """Requests a second, CPU milliseconds a request, memory."""
    body, stop, counts = first_images(1).tobytes(), threading.Event(), [0] * CALLERS

    def call(number: int) -> None:
        connection = HTTPConnection(address)
        while not stop.is_set():
            headers = {"Content-Type": "application/octet-stream"}
            connection.request("POST", "/predict", body, headers)
            reply = connection.getresponse()
            assert reply.status == 200, reply.read()
            reply.read()
            counts[number] += 1
        connection.close()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    time.sleep(2)
    processes = descendants(os.getpid())
    began, before, done = time.monotonic(), total(cpu_seconds, processes), sum(counts)
    time.sleep(seconds)
    took, used = time.monotonic() - began, total(cpu_seconds, processes) - before
    count = sum(counts) - done
    memory = total(pss_mb, processes)
    stop.set()
    for thread in threads:
        thread.join()
    return [f"{count / took:,.0f}", f"{used / count * 1e3:.2f}", f"{memory:,.0f}"]


def total(figure: Callable[[int], float], processes: list[int]) -> float:
    found = 0.0
    for process in processes:
        try:
            found += figure(process)
        except OSError:
            continue
    return found


def pss_mb(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def descendants(process: int) -> list[int]:
    found = list[int]()
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *descendants(child)]
    return found


if __name__ == "__main__":
    main()
