"""gRPC: the service beside a bare ``grpc.aio`` server, and beside its own /v2 with binary tensors.

    python -m tests.bench.rpc          runs this part alone
    python -m tests.bench.rpc PORT STREAMS IMAGES SECONDS     the load, which `measure` starts

The load is a ``grpc.aio`` client on the other core, which sends the bytes of one message again and
again. The figure of the servers is their CPU, so a slow client does not show in it; images a second
of 64 images a call are computed from it too, for gRPC and for /v2 alike.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from shutil import copytree
from typing import Any

import grpc
import uvloop

from service.rpc.messages import message
from tests.bench import load
from tests.bench.cases import OCTETS, Work, first_images, v2_request
from tests.bench.report import markdown
from tests.bench.servers import LOAD_CORE, SERVER_CORE, Server
from tests.bench.servers import start as start_server

STREAMS = (1, 64)
TARGET, TARGET_MANY = 1.35, 0.8
_PATH = "/inference.GRPCInferenceService/ModelInfer"


def rows(models: Path, version: str, rounds: int, seconds: int) -> list[dict[str, Any]]:
    """One row for each number of streams, and one for 64 images a call."""
    port = _free_port()
    service = start_server("serve", models, version, "--grpc-port", str(port))
    echo = _start_echo()
    try:
        found = []
        for streams in STREAMS:
            pairs = [
                (
                    measure(service, port, streams, 1, seconds),
                    measure(echo, echo.port, streams, 1, seconds),
                )
                for _ in range(rounds + 1)
            ][1:]
            found.append(_row(f"1 image a call, {streams} streams", "echo", pairs, TARGET))
        path, body, headers = v2_request(first_images(64))
        many = Work("serve", path, body, OCTETS, 8, 64, headers)
        pairs = [
            (
                measure(service, port, 8, 64, seconds),
                load.measure(many, service, seconds)["cpu_us"],
            )
            for _ in range(rounds + 1)
        ][1:]
        found.append(_row("64 images a call, 8 streams", "/v2 binary", pairs, 1 / TARGET_MANY))
        return found
    finally:
        service.stop()
        echo.stop()


def measure(server: Server, port: int, streams: int, images: int, seconds: int) -> float:
    """The server's CPU, in microseconds a call."""
    command = ["taskset", "-c", LOAD_CORE, sys.executable, "-m", "tests.bench.rpc"]
    numbers = (port, streams, images, seconds, server.process.pid)
    command += map(str, numbers)
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(json.loads(out)["cpu_us"])


def table(report: dict[str, Any]) -> str:
    """The rows as Markdown."""
    head = ["gRPC", "beside", "CPU, µs a call", "of that", "ratio", "target"]
    return markdown(head, [[str(cell) for cell in row.values()] for row in report["rpc"]], left=2)


def _row(name: str, other: str, pairs: list[tuple[float, float]], target: float) -> dict[str, Any]:
    ours, theirs = (round(statistics.median(each)) for each in zip(*pairs, strict=True))
    ratio = statistics.median(one / two for one, two in pairs)
    return {
        "work": name,
        "beside": other,
        "cpu_us": ours,
        "beside_us": theirs,
        "ratio": f"{ratio:.2f} x",
        "target": f"<= {target:.2f} x",
    }


def _start_echo() -> Server:
    port = _free_port()
    module = "tests.bench.references.echo_rpc"
    command = ["taskset", "-c", SERVER_CORE, sys.executable, "-m", module, str(port)]
    return Server("echo", port, subprocess.Popen(command), 0.0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _cpu_s(process: int) -> float:
    """The CPU time of all threads, in nanoseconds' resolution."""
    spent = 0
    for thread in Path(f"/proc/{process}/task").iterdir():
        with suppress(FileNotFoundError):  # it has just ended
            spent += int((thread / "schedstat").read_text().split()[0])
    return spent / 1e9


async def _send(port: int, streams: int, images: int, seconds: float, process: int) -> None:
    pixels = first_images(images)
    asked = message("inference.ModelInferRequest")(model_name="mnist")
    asked.inputs.add(name="image", datatype="UINT8", shape=pixels.shape)
    asked.raw_input_contents.append(pixels.tobytes())
    body, calls = asked.SerializeToString(), 0
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(_PATH)
        for _ in range(50):
            await call(body, wait_for_ready=True)
        before, end = _cpu_s(process), time.perf_counter() + seconds

        async def repeat() -> None:
            nonlocal calls
            while time.perf_counter() < end:
                await call(body)
                calls += 1

        await asyncio.gather(*(repeat() for _ in range(streams)))
        print(json.dumps({"cpu_us": (_cpu_s(process) - before) / calls * 1e6}))


def main() -> None:
    if len(sys.argv) > 1:
        port, streams, images, seconds, process = map(int, sys.argv[1:])
        uvloop.run(_send(port, streams, images, seconds, process))
        return
    with tempfile.TemporaryDirectory() as folder:
        copytree("models/mnist/1", Path(folder) / "mnist/1")
        (Path(folder) / "mnist/champion").write_text("1\n")
        print(table({"rpc": rows(Path(folder), "1", 3, 1)}))


if __name__ == "__main__":
    main()
