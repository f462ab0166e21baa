"""The service stops: it answers unready, finishes the running requests and exits with 0."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.digits import images
from tests.problems import check_problem
from tests.server import Answer, Server, parse_answers, read_all, wait_until
from tests.tiny import slow_model_bytes, tiny_repository, tiny_version

RAW = "application/octet-stream"
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tiny_repository(tmp_path / "models")
    tiny_version(root, 2, slow_model_bytes(60))
    return root


def start(models: Path, *flags: str) -> Server:
    server = Server(models, models.parent / "log", *flags)
    server.wait_until_ready()
    return server


def check_end(server: Server, status: int) -> None:
    assert status == 0, server.stderr()
    assert "raceback" not in server.stderr()


def test_after_sigterm_it_answers_unready_and_serves_every_request(models: Path) -> None:
    server = start(models, "--drain-delay-s", "2")
    with server.connect() as kept:
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: server.get("/health/ready").status == 503, 2)
        check_problem(server.get("/health/ready"), 503, "draining")
        assert server.get("/health/live").status == 200
        assert server.post("/predict", bytes(784), RAW).status == 200
        kept.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert parse_answers(kept.recv(65536))[0].status == 200
        check_end(server, server.process.wait(20))
        assert read_all(kept) == b""


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_running_request_is_finished(models: Path, number: signal.Signals) -> None:
    server = start(models, "--drain-delay-s", "0.1")
    server.post("/predict?version=2", bytes(784), RAW)
    answers: list[Answer] = []
    sent = images(1500)

    def ask() -> None:
        answers.append(server.post("/predict?version=2", sent.tobytes(), RAW))

    asking = threading.Thread(target=ask)
    asking.start()
    wait_until(lambda: server.metric("mnist_queue_rows") > 0)
    check_end(server, server.stop(number))
    asking.join()
    (answer,) = answers
    assert answer.status == 200
    assert len(answer.json()["predictions"]) == len(sent)
    assert answer.headers["connection"] == "close"


@pytest.mark.slow
def test_a_body_that_never_ends_delays_the_stop_up_to_the_drain_timeout(models: Path) -> None:
    server = start(models, "--drain-delay-s", "0", "--drain-timeout-s", "1")
    with server.connect() as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 784\r\n"
            b"Content-Type: application/octet-stream\r\n\r\nnever more"
        )
        time.sleep(0.1)
        begin = time.monotonic()
        check_end(server, server.stop())
        assert time.monotonic() - begin < 6
        (answer,) = parse_answers(read_all(connection))
    check_problem(answer, 503, "stopped")


@pytest.mark.slow
def test_a_second_sigterm_ends_the_drain_delay(models: Path) -> None:
    server = start(models, "--drain-delay-s", "25")
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: server.get("/health/ready").status == 503)
    check_end(server, server.stop())


@pytest.mark.slow
def test_a_signal_during_the_start_stops_it_too(models: Path) -> None:
    server = Server(models, models.parent / "log")
    wait_until(lambda: "listening" in server.stderr(), 60)
    check_end(server, server.stop())


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_several_workers_stop_together(models: Path, number: signal.Signals) -> None:
    server = start(models, "--workers", "2", "--drain-delay-s", "0.5")
    assert server.post("/predict", np.zeros(784, np.uint8).tobytes(), RAW).status == 200
    check_end(server, server.stop(number))
