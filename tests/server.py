"""The real ``serve`` command in its own process, on a free port of the loopback interface."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

Door = Literal["serve", "asgi"]
DOORS: tuple[Door, ...] = ("serve", "asgi")
EVERYTHING = ("--open", "predict,evaluate,review,admin,metrics")
"""Flags with which everybody may ask for everything."""
START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. ``headers`` has lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Parses the body as JSON."""
        return json.loads(self.body)


class Server:
    """A running service that writes standard error to a file, or to the descriptor ``stderr``.

    ``door`` is the ``serve`` command, or uvicorn with the ASGI application, which gets the
    ``flags`` as environment variables.
    """

    tls: ssl.SSLContext | None = None

    def __init__(
        self,
        models: Path,
        log: Path,
        *flags: str,
        environment: Mapping[str, str] | None = None,
        door: Door = "serve",
        tls: ssl.SSLContext | None = None,
        stderr: int | None = None,
    ) -> None:
        self.host, self.port, self.door, self.tls = "127.0.0.1", 0, door, tls
        clean = {k: v for k, v in os.environ.items() if not k.startswith("MNIST_")}
        settings = dict(environment or {})
        flags = ("--models", str(models), *flags)
        if door == "serve":
            command = [sys.executable, "-m", "service", "--port", "0", *flags]
        else:
            self.port = free_port()
            command = [sys.executable, "-m", "uvicorn", "--port", str(self.port), "--factory"]
            command += ["--loop", "uvloop", "--log-level", "warning", "service.app:create_app"]
            settings |= as_environment(flags)
        self._log = log
        with log.open("wb") as file:
            to = file if stderr is None else stderr
            self.process = subprocess.Popen(command, stderr=to, env=clean | settings)

    def stderr(self) -> str:
        """Returns everything that the process has written to standard error."""
        return self._log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """Returns the log lines, each of them a JSON object."""
        whole = self.stderr().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def access(self) -> list[dict[str, Any]]:
        """Returns the log lines about requests."""
        return [line for line in self.lines() if line["message"] == "request"]

    def wait_until_ready(self) -> None:
        """Returns once ``/health/ready`` answers 200."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"serve ended: {self.stderr()}")
            if not self.port:
                self.port = self._port()
            try:
                return bool(self.port) and self.get("/health/ready").status == 200
            except ConnectionRefusedError:
                return False

        wait_until(ready, START_SECONDS)

    def _port(self) -> int:
        for line in self.stderr().splitlines():
            if "listening" in line and line.endswith("}"):
                return urlsplit(json.loads(line)["url"]).port or 0
            if "listening url=" in line:
                return urlsplit(line.partition("url=")[2].split()[0]).port or 0
        return 0

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        *,
        source: str | None = None,
    ) -> Answer:
        """Sends one request on a new connection, perhaps from another loopback address."""
        connection = self.keep(source, timeout)
        try:
            connection.request(method, target, body, dict(headers or {}))
            response = connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())
        finally:
            connection.close()

    def keep(self, source: str | None = None, timeout: float = 30.0) -> http.client.HTTPConnection:
        """Returns a connection for several requests, perhaps from another loopback address."""
        own = None if source is None else (source, 0)
        if self.tls is not None:
            return http.client.HTTPSConnection(
                self.host, self.port, timeout=timeout, source_address=own, context=self.tls
            )
        return http.client.HTTPConnection(self.host, self.port, timeout, own)

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        """Sends a GET."""
        return self.request("GET", target, None, headers)

    def post(
        self,
        target: str,
        body: bytes,
        content_type: str | None = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends a POST, without Content-Type where ``content_type`` is None."""
        given = {} if content_type is None else {"Content-Type": content_type}
        return self.request("POST", target, body, given | dict(headers or {}))

    def connect(self, timeout: float = 30.0) -> socket.socket:
        """Opens a TCP connection, with TLS where the server has it."""
        opened = socket.create_connection((self.host, self.port), timeout)
        if self.tls is None:
            return opened
        return self.tls.wrap_socket(opened, server_hostname=self.host)

    def exchange(self, sent: bytes) -> bytes:
        """Sends bytes, keeps the sending side open, and returns all until the server closes."""
        with self.connect() as connection:
            connection.sendall(sent)
            return read_all(connection)

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Returns every sample of ``/metrics``: (name, sorted labels) -> value."""
        from prometheus_client.parser import text_string_to_metric_families

        families = text_string_to_metric_families(self.get("/metrics").body.decode())
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        """Returns one sample of ``/metrics``, or 0 if no sample of the metric has these labels."""
        samples = self.metrics()
        assert name in {known for known, _ in samples}, f"/metrics has no {name}"
        return samples.get((name, tuple(sorted(labels.items()))), 0.0)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal to the process and returns its exit status."""
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def serving(
    models: Path,
    log: Path,
    *flags: str,
    environment: Mapping[str, str] | None = None,
    door: Door = "serve",
    tls: ssl.SSLContext | None = None,
) -> Iterator[Server]:
    """Runs a server that is ready, stops it on exit, and checks that it logged no traceback."""
    server = Server(models, log, *flags, environment=environment, door=door, tls=tls)
    try:
        server.wait_until_ready()
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
    assert "raceback" not in server.stderr(), server.stderr()


def probabilities(server: Server, images: NDArray[np.uint8], version: str = "2") -> Any:
    """Returns the probabilities (n, 10), float32, of ``/predict`` for images (n, 28, 28)."""
    target, raw = f"/predict?version={version}", "application/octet-stream"
    predictions = server.post(target, images.tobytes(), raw).json()["predictions"]
    return np.array([each["probabilities"] for each in predictions], np.float32)


def free_port() -> int:
    """Returns a port of the loopback interface on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def listens(host: str, port: int) -> bool:
    """Whether anyone accepts connections there."""
    try:
        socket.create_connection((host, port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def as_environment(flags: Sequence[str]) -> dict[str, str]:
    """Converts flags of ``serve`` to environment variables."""
    found, names = dict[str, str](), list(flags)
    while names:
        name = names.pop(0).removeprefix("--")
        value = "false" if name.startswith("no-") else names.pop(0)
        found["MNIST_" + name.removeprefix("no-").replace("-", "_").upper()] = value
    return found


def read_all(connection: socket.socket) -> bytes:
    """Returns everything until the other side closes."""
    parts = []
    try:
        while part := connection.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def parse_answers(data: bytes) -> list[Answer]:
    """Splits what a connection received into answers, each with a Content-Length."""
    answers = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
        }
        status = int(first.split()[1])
        length = int(headers.get("content-length", "0"))
        answers.append(Answer(status, headers, rest[:length]))
        data = rest[length:]
    return answers


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    """Returns once ``condition()`` is true. Raises AssertionError after ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{condition} did not come true within {seconds} s"
        time.sleep(0.02)
