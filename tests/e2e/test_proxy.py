"""Two services behind nginx as it comes: restarts lose nothing and stall nobody."""

from __future__ import annotations

import asyncio
import shutil
import signal
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import pytest

from tests.digits import images
from tests.server import Server, free_port, listens, wait_until
from tests.steady import Kind, Steady, post
from tests.tiny import tiny_repository

RESTARTS = 6
CONFIGURATION = """
daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream digits {{ server 127.0.0.1:{first}; server 127.0.0.1:{second}; }}
    server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://digits; }} }}
}}
"""


@contextmanager
def nginx(folder: Path, first: int, second: int) -> Iterator[int]:
    """Runs nginx in a folder of its own before two services, and yields its port."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
    assert program, "apt-get install nginx"
    port, configuration = free_port(), folder / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(folder=folder, first=first, second=second, port=port)
    )
    running = subprocess.Popen([program, "-p", str(folder), "-c", str(configuration)])
    try:
        wait_until(lambda: running.poll() is None and listens("127.0.0.1", port))
        yield port
    finally:
        running.terminate()
        running.wait(30)


def _version(head: bytes, body: bytes) -> str:
    return body.partition(b'"version":"')[2].partition(b'"')[0].decode()


class Pair:
    """Two services, which restart in turn."""

    def __init__(self, folder: Path, workers: str) -> None:
        self.folder = folder
        self.models = tiny_repository(folder / "models")
        self.flags = ("--workers", workers, "--allowed-hosts", "digits")
        self.ports = free_port(), free_port()
        self.servers = [self.start(0, 0), self.start(1, 0)]
        self.stops: list[tuple[float, float]] = []

    def start(self, number: int, turn: int) -> Server:
        log = self.folder / f"log-{number}-{turn}"
        server = Server(self.models, log, "--port", str(self.ports[number]), *self.flags)
        server.port = self.ports[number]
        return server

    def restart(self, number: int, turn: int) -> None:
        """Restarts one, once the other has answered 20 requests, and waits until both answer."""
        old, other = self.servers[number], self.servers[1 - number]
        before = answered(other)
        wait_until(lambda: answered(other) > before + 20, 60)
        begin = perf_counter()
        old.process.send_signal(signal.SIGTERM)
        assert old.process.wait(60) == 0
        self.stops.append((begin, perf_counter()))
        new = self.servers[number] = self.start(number, turn)
        new.wait_until_ready()
        wait_until(lambda: answered(new) > 20, 90)

    def stop(self) -> None:
        for server in self.servers:
            if server.process.poll() is None:
                server.stop()


def answered(server: Server) -> float:
    try:
        return server.metric("mnist_requests_total", endpoint="/predict", status="200")
    except ConnectionRefusedError:
        return 0.0


async def restarts_under_load(pair: Pair, port: int) -> Steady:
    """50 requests a second, each service restarted three times while the other one answers."""
    kind = Kind(post("/predict", images(1).tobytes(), "application/octet-stream"), _version)
    load = Steady("127.0.0.1", port, [kind], 50, 8)

    async def restart_in_turn() -> None:
        for turn in range(1, RESTARTS + 1):
            await asyncio.to_thread(pair.restart, turn % 2, turn)
        load.stopped = True

    await asyncio.gather(load.run(), restart_in_turn())
    return load


@pytest.mark.campaign
@pytest.mark.alone
@pytest.mark.parametrize("workers", ["1", "2"])
def test_restarts_behind_a_proxy_lose_nothing_and_stall_nobody(
    tmp_path: Path, workers: str
) -> None:
    """nginx asks a service that refused it again after ten seconds.

    A restart takes less time, or the service refuses again.
    """
    pair = Pair(tmp_path, workers)
    try:
        for server in pair.servers:
            server.wait_until_ready()
        with nginx(tmp_path, *pair.ports) as port:
            load = asyncio.run(restarts_under_load(pair, port))
    finally:
        pair.stop()
    assert [each.fault for each in load.asked if each.fault] == []
    assert load.refused == 0
    most = max(0.25, 100 * statistics.median(each.seconds for each in load.asked))
    slow = [each for each in load.asked if each.seconds > most]
    # A busy machine stalls a request at any time. What is wrong with a stop, most stops show.
    stalled = sum(any(begin <= each.due <= end for each in slow) for begin, end in pair.stops)
    assert stalled <= 1, (pair.stops, slow)


@pytest.mark.slow
def test_a_service_that_starts_refuses_instead_of_letting_callers_wait(tmp_path: Path) -> None:
    models, port = tiny_repository(tmp_path / "models"), free_port()
    server = Server(models, tmp_path / "log", "--port", str(port), "--workers", "2")
    server.port = port
    refused = 0
    try:
        while not server.stderr().count('"message":"serving"'):
            refused += not listens("127.0.0.1", port)
        server.wait_until_ready()
    finally:
        server.stop()
    assert refused > 0
