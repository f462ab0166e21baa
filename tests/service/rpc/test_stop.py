"""The start and the stop of the gRPC port: no call is lost behind a client that reconnects."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from service.rpc.messages import message
from tests.digits import images
from tests.server import Server, free_port, serving, wait_until
from tests.service.conftest import BRITTLE, SLOW
from tests.service.rpc.test_inference import INFER
from tests.service.rpc.test_inference import message as infer_message

HEALTH = "/grpc.health.v1.Health/"
HealthAnswer = message("grpc.health.v1.HealthCheckResponse")
SERVING, NOT_SERVING = 1, 2


def serve(models: Path, log: Path, port: int, *flags: str) -> Server:
    running = Server(models, log, "--grpc-port", str(port), *flags)
    running.wait_until_ready()
    return running


class Callers:
    """Threads that call one after the other until they are told to end; failures are kept."""

    def __init__(self, channel: grpc.Channel, count: int) -> None:
        self._call = channel.unary_unary(INFER)
        self._body = infer_message(images(1), version="1").SerializeToString()
        self._ending = threading.Event()
        self.answered, self.failures = [0] * count, list[grpc.RpcError]()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, number: int) -> None:
        while not self._ending.is_set():
            try:
                self._call(self._body, timeout=20)
                self.answered[number] += 1
            except grpc.RpcError as error:
                self.failures.append(error)


def test_no_call_is_lost_while_one_of_two_services_stops(models: Path, tmp_path: Path) -> None:
    """A client that knows both addresses goes on at the other one, call for call."""
    ports = free_port(), free_port()
    flags = "--drain-delay-s", "0.3", "--deadline-s", "60", "--drain-timeout-s", "60"
    both = [serve(models, tmp_path / str(n), port, *flags) for n, port in enumerate(ports)]
    target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
    try:
        with grpc.insecure_channel(target) as channel:
            callers = Callers(channel, 8)
            wait_until(lambda: min(callers.answered) > 20, 30)
            with grpc.insecure_channel(f"127.0.0.1:{ports[0]}") as other:
                slow = infer_message(images(150), version=SLOW).SerializeToString()
                long = [other.unary_unary(INFER).future(slow, timeout=60) for _ in range(24)]
                wait_until(lambda: both[0].metric("mnist_queue_rows") > 0, 30)
                both[0].process.send_signal(signal.SIGTERM)
                assert [call.code() for call in long] == [grpc.StatusCode.OK] * len(long)
            assert both[0].process.wait(60) == 0
            before = sum(callers.answered)
            wait_until(lambda: sum(callers.answered) > before + 200, 30)
            callers.end()
        assert [error.details() for error in callers.failures] == []
        assert sum("/predict" not in line["path"] for line in both[1].access()) > 200
    finally:
        for each in both:
            each.process.kill()
            each.process.wait()


def test_health_follows_the_drain_and_silent_streams_end(models: Path, tmp_path: Path) -> None:
    port = free_port()
    running = serve(models, tmp_path / "log", port, "--drain-delay-s", "1.5")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        watch = channel.unary_stream(HEALTH + "Watch")(b"", timeout=30)
        assert HealthAnswer.FromString(next(watch)).status == SERVING
        ready = channel.unary_unary("/inference.GRPCInferenceService/ServerReady")
        assert pb.ServerReadyResponse.FromString(ready(b"", timeout=30)).ready
        silent = threading.Event()

        def wait() -> object:
            silent.wait(30)
            yield from ()

        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")(
            wait(), timeout=30
        )
        running.process.send_signal(signal.SIGTERM)
        assert HealthAnswer.FromString(next(watch)).status == NOT_SERVING
        check = channel.unary_unary(HEALTH + "Check")
        assert HealthAnswer.FromString(check(b"", timeout=30)).status == NOT_SERVING
        assert not pb.ServerReadyResponse.FromString(ready(b"", timeout=30)).ready
        began = time.monotonic()
        with pytest.raises(grpc.RpcError) as caught:
            next(stream)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert list(watch) == []
        assert running.process.wait(30) == 0
        assert time.monotonic() - began < 8, "the stop waited for streams"
        silent.set()


@pytest.mark.campaign
def test_several_workers_share_the_port(models: Path, tmp_path: Path) -> None:
    port = free_port()
    flags = "--workers", "2", "--grpc-port", str(port)
    with serving(models, tmp_path / "log", *flags) as running:
        for number in range(12):
            options = [("grpc.use_local_subchannel_pool", 1), ("number", number)]
            with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
                body = infer_message(images(1)).SerializeToString()
                channel.unary_unary(INFER)(body, timeout=30, wait_for_ready=True)
        assert running.metric("mnist_requests_total", endpoint=INFER, status="200") == 12


def test_a_port_that_is_taken_stops_the_start_with_one_line(models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "service", "--models", str(models), "--port", "0"]
        command += ["--grpc-port", str(port)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port} for gRPC" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_failing_model_is_told_and_logged(models: Path, tmp_path: Path) -> None:
    port = free_port()
    running = serve(models, tmp_path / "log", port)
    white = infer_message(np.full((1, 28, 28), 255, np.uint8), version=BRITTLE)
    with (
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        channel.unary_unary(INFER)(white.SerializeToString(), timeout=30)
    running.stop()
    assert caught.value.code() == grpc.StatusCode.INTERNAL
    name = dict(caught.value.trailing_metadata())["x-request-id"]
    (line,) = (each for each in running.lines() if each["message"] == "a call failed")
    assert line["request_id"] == name
    assert name in caught.value.details()
