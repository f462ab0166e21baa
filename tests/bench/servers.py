"""The servers under test: started, pinned to one core, measured, stopped."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from service.access.keys import Key, changed

SERVER_CORE, LOAD_CORE = "0", "1"
NAMES = ("serve", "asgi", "logging", "keys", "capture", "limit-ort", "limit", "tutorial")
"""``serve`` and the ASGI door, ``serve`` with a log, with keys, with 1 % of the requests captured,
and the references."""
KEY = "mnist_bench"
"""The key that ``keys`` wants; it has a rate that nobody reaches."""
READY_WITHIN_S = 60.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass
class Server:
    """A server that runs; all its figures are of its one process."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    ready_s: float
    models: Path = Path()

    def cpu_s(self) -> float:
        """User and system seconds so far."""
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(stat[11]) + int(stat[12])) * _TICK_S

    def memory_mb(self) -> float:
        return memory_mb(self.process.pid)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def memory_mb(process: int) -> float:
    """Returns the proportional set size of a process, in units of 10**6 bytes."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def start(name: str, models: Path, version: str, *flags: str) -> Server:
    """Starts a server by its name in the table and waits until it answers.

    ``models`` holds ``version`` and names it champion. ``flags`` are further ones of ``serve``.
    """
    port = _free_port()
    environment = {**os.environ, "BENCH_MODEL": str(models / "mnist" / version / "model.onnx")}
    command = ["taskset", "-c", SERVER_CORE, sys.executable, "-m"]
    path = "/health/ready"
    if name in ("serve", "logging", "keys", "capture"):
        command += ["service", "--models", str(models), "--provider", "cpu", *flags]
        command += ["--keys", str(keys(models))] if name == "keys" else []
        command += ["--capture", "0.01"] if name == "capture" else []
    elif name == "asgi":
        environment |= {"MNIST_MODELS": str(models), "MNIST_PROVIDER": "cpu"}
        environment |= {"MNIST_ACCESS_LOG": "false", "MNIST_LOG_LEVEL": "warning"}
        command += ["uvicorn", "--factory", "service.app:create_app"]
    else:
        path = "/"
        module = "tutorial" if name == "tutorial" else "limit"
        command += ["uvicorn", f"tests.bench.references.{module}:app"]
    if name != "logging":
        command += ["--no-access-log", "--log-level", "warning"]
    log = (models / f"{name}.log").open("wb") if name == "logging" else None
    begin = time.perf_counter()
    process = subprocess.Popen([*command, "--port", str(port)], env=environment, stderr=log)
    server = Server(name, port, process, 0.0, models)
    while not _answers(port, path):
        if process.poll() is not None or time.perf_counter() - begin > READY_WITHIN_S:
            server.stop()
            raise SystemExit(f"bench: {name} did not start")
        time.sleep(0.005)
    server.ready_s = time.perf_counter() - begin
    return server


def keys(folder: Path) -> Path:
    """Writes a file of keys with :data:`KEY`."""
    digest, now = sha256(KEY.encode()).hexdigest(), datetime.now(UTC)
    with changed(folder / "keys") as known:
        known["bench"] = Key(
            name="bench", sha256=digest, scopes=frozenset({"predict"}), rate=1e9, added=now
        )
    return folder / "keys"


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
