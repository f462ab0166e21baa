"""MNIST_ADMIN_PORT: the scopes admin and metrics are answered there alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.server import EVERYTHING, Answer, Server, free_port, serving, wait_until
from tests.tiny import tiny_repository

ADMIN = (("GET", "/metrics"), ("POST", "/v2/repository/models/mnist/load"))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_repository(tmp_path_factory.mktemp("admin"))


@pytest.fixture(scope="module", params=["1", pytest.param("2", marks=pytest.mark.slow)])
def ports(models: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Server, int]]:
    """A server with an admin port, and that port; all scopes need no key."""
    port = free_port()
    flags = ("--admin-port", str(port), "--workers", request.param, *EVERYTHING)
    with serving(models, models / f"log{request.param}", *flags) as server:
        yield server, port


def at(server: Server, port: int, method: str, target: str) -> Answer:
    """Asks at a port, each time on a new connection, and so any worker."""
    public, server.port = server.port, port
    try:
        return server.request(method, target, b"{}" if method == "POST" else None)
    finally:
        server.port = public


def test_admin_and_metrics_are_answered_at_the_admin_port_alone(ports: tuple[Server, int]) -> None:
    server, admin = ports
    for method, target in ADMIN * 4:
        wait_until(lambda m=method, t=target: at(server, admin, m, t).status == 200, 60)
        answer = server.request(method, target, b"{}" if method == "POST" else None)
        assert answer.status == 403
        assert b"MNIST_ADMIN_PORT" in answer.body


def test_other_endpoints_are_answered_at_both(ports: tuple[Server, int]) -> None:
    server, admin = ports
    for port in (server.port, admin):
        for target in ("/health/ready", "/models", "/v2/models/mnist"):
            assert at(server, port, "GET", target).status == 200


@pytest.mark.parametrize(("port", "status"), [(9100, 200), (8000, 403)])
def test_an_asgi_server_on_that_port_answers_them_too(models: Path, port: int, status: int) -> None:
    app = create_app(Settings(models=models, admin_port=9100, open=frozenset(("metrics",))))
    with TestClient(app, base_url=f"http://localhost:{port}") as client:
        assert client.get("/metrics").status_code == status


@pytest.mark.parametrize("flag", ["--admin-port", "--grpc-port"])
def test_a_port_that_is_named_twice_stops_the_start(models: Path, flag: str) -> None:
    port = str(free_port())
    command = [sys.executable, "-m", "service", "--models", str(models), "--port", port, flag, port]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr == "serve: MNIST_PORT, MNIST_ADMIN_PORT and MNIST_GRPC_PORT must differ\n"
