"""Several processes behind one port: their metrics, and the death of one of them."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.digits import images
from tests.server import Server, serving, wait_until
from tests.tiny import tiny_repository

RAW = "application/octet-stream"
pytestmark = pytest.mark.slow


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tiny_repository(tmp_path / "models", versions=(1, 2))


@pytest.fixture
def server(models: Path) -> Iterator[Server]:
    with serving(models, models.parent / "log", "--workers", "2") as running:
        wait_until(lambda: running.metric("mnist_workers") == 2, 60)
        yield running


def children(server: Server) -> list[int]:
    """Returns the process numbers of the workers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == server.process.pid and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return sorted(found)


class Caller:
    """One kept connection, and so one worker."""

    def __init__(self, server: Server) -> None:
        self.connection = http.client.HTTPConnection(server.host, server.port, timeout=20)
        self.worker = self.ask()

    def ask(self) -> str:
        """Classifies an image. Returns the worker's prefix of the request id."""
        self.connection.request("POST", "/predict", images(1).tobytes(), {"Content-Type": RAW})
        response = self.connection.getresponse()
        response.read()
        return str(response.headers["X-Request-ID"]).partition("-")[0]


@contextmanager
def callers_of_both(server: Server) -> Iterator[dict[str, Caller]]:
    """Yields one caller per worker, by the worker's prefix."""
    with ExitStack() as stack:
        found: dict[str, Caller] = {}
        end = time.monotonic() + 20
        while len(found) < 2 and time.monotonic() < end:
            caller = Caller(server)
            stack.callback(caller.connection.close)
            found.setdefault(caller.worker, caller)
        assert len(found) == 2
        yield found


def classified(server: Server) -> float:
    """Returns the number of successful requests, which any worker reports for all."""
    return server.metric("mnist_requests_total", endpoint="/predict", status="200")


def test_every_worker_reports_the_sums_over_all_workers(server: Server) -> None:
    with callers_of_both(server) as callers:
        for caller in callers.values():
            for _ in range(10):
                caller.ask()
    before = classified(server)
    rows = server.metric("mnist_batch_size_sum")
    assert before >= 22
    for _ in range(40):
        server.post("/predict", images(3).tobytes(), RAW)
    for _ in range(6):
        assert classified(server) == before + 40
        now = server.metrics()
        assert now["mnist_batch_size_sum", ()] == rows + 3 * 40
        assert now["mnist_workers", ()] == 2
        assert [value for key, value in now.items() if key[0] == "mnist_model_info"] == [2]


def test_a_killed_worker_is_replaced_and_no_other_request_is_lost(server: Server) -> None:
    with callers_of_both(server) as callers:
        before = classified(server)
        victim = children(server)[0]
        os.kill(victim, signal.SIGKILL)
        lost = asked = 0
        for caller in callers.values():
            try:
                for _ in range(20):
                    caller.ask()
                    asked += 1
            except (http.client.HTTPException, OSError):
                lost += 1
        assert (lost, asked) == (1, 20)
    for _ in range(20):
        assert server.post("/predict", images(1).tobytes(), RAW).status == 200
    wait_until(lambda: server.metric("mnist_workers") == 2, 60)
    assert victim not in children(server)
    assert classified(server) == before + 40
    with callers_of_both(server) as later:
        assert later.keys() - callers.keys()
