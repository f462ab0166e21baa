"""Several processes behind one port: their metrics, and the death of one of them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
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
    flags = "--workers", "2", "--open", "predict,metrics,admin"
    with serving(models, models.parent / "log", *flags) as running:
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

    def ask(self, query: str = "") -> str:
        """Classifies an image. Returns the worker's prefix of the request id."""
        target, headers = f"/predict{query}", {"Content-Type": RAW}
        self.connection.request("POST", target, images(1).tobytes(), headers)
        response = self.connection.getresponse()
        response.read()
        assert response.status == 200
        return str(response.headers["X-Request-ID"]).partition("-")[0]

    def get(self, target: str, body: str | None = None) -> Any:
        """Returns the JSON of a GET, or of a POST if there is a body."""
        self.connection.request("GET" if body is None else "POST", target, body)
        return json.loads(self.connection.getresponse().read())


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


def told(caller: Caller) -> dict[str, Any]:
    """Returns what one worker says about the service: states, champion and statistics."""
    (model,) = caller.get("/models")["models"]
    return {
        "champion": model["champion"],
        "/models": {each["version"]: each["state"] for each in model["versions"]},
        "/v1": [each["state"] for each in caller.get("/v1/models/mnist")["model_version_status"]],
        "/v2": {e["version"]: e["state"] for e in caller.get("/v2/repository/index", "{}")},
        "ready": caller.get("/v2/models/mnist/versions/2/ready").get("ready", False),
        "stats": caller.get("/v2/models/stats"),
    }


def counts(statistics: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Returns images and successful requests by version."""
    return {
        each["version"]: (each["inference_count"], each["inference_stats"]["success"]["count"])
        for each in statistics["model_stats"]
    }


def test_all_workers_are_one_service(server: Server, models: Path) -> None:
    with callers_of_both(server) as callers:
        one, other = callers.values()
        before = counts(told(one)["stats"])["1"][0]
        for caller in (one, one, one, other):
            caller.ask()
        assert counts(told(one)["stats"]) == {"1": (before + 4, before + 4)}
        assert told(one) == told(other)
        # A version that one worker loads for a request is loaded, whichever answers.
        one.ask("?version=2")
        for caller in (one, other):
            now = told(caller)
            assert now["/models"] == {"1": "serving", "2": "loaded"}
            assert now["/v2"] == {"1": "READY", "2": "READY"}
            assert (now["/v1"], now["ready"]) == (["AVAILABLE", "AVAILABLE"], True)
            assert counts(now["stats"])["2"] == (1, 1)
        # What one unloads, all unload.
        other.get("/v2/repository/models/mnist/unload", '{"parameters": {"version": "2"}}')
        for caller in (one, other):
            now = told(caller)
            assert now["/models"]["2"] == "available"
            assert counts(now["stats"]).keys() == {"1"}
        # The one that is asked to load awaits the others.
        (models / "mnist" / "champion").write_text("2\n")
        other.get("/v2/repository/models/mnist/load", "{}")
        for caller in (one, other):
            now = told(caller)
            assert (now["champion"], now["/models"]) == ("2", {"1": "loaded", "2": "serving"})


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


@pytest.mark.parametrize("damaged", ["champion", "certificate"])
def test_a_worker_that_cannot_start_again_ends_no_other(
    models: Path, tmp_path: Path, damaged: str
) -> None:
    authority, flags, tls = Authority(), ["--workers", "2"], None
    broken = models / "mnist/1/model.onnx"
    if damaged == "certificate":
        broken, key, tls = tmp_path / "tls.crt", tmp_path / "tls.key", authority.client()
        for path, content in zip((broken, key), authority.issue("localhost", 30), strict=True):
            path.write_bytes(content)
        flags += ["--tls-cert", str(broken), "--tls-key", str(key)]
    log = models.parent / "log"
    with serving(models, log, *flags, tls=tls) as server:
        wait_until(lambda: server.metric("mnist_workers") == 2, 60)
        whole = broken.read_bytes()
        broken.write_bytes(whole[: len(whole) // 2])
        os.kill(children(server)[0], signal.SIGKILL)
        wait_until(lambda: server.stderr().count("a worker cannot start") >= 2, 60)
        assert server.get("/health/ready").status == 200
        broken.write_bytes(whole)
        wait_until(lambda: server.metric("mnist_workers") == 2, 60)
