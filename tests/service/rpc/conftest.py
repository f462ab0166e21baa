"""One real service that answers gRPC, for all tests that only ask it something."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import tritonclient.grpc as triton

from tests.server import Server, free_port, serving
from tests.service.conftest import FLAGS


@pytest.fixture(scope="session")
def rpc_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def rpc(models: Path, rpc_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``serve`` with gRPC, open to all scopes."""
    log = tmp_path_factory.mktemp("log") / "stderr"
    flags = ("--grpc-port", str(rpc_port), "--open", "predict,evaluate,admin,metrics")
    with serving(models, log, *FLAGS, *flags) as running:
        yield running


@pytest.fixture(scope="session")
def client(rpc: Server, rpc_port: int) -> Iterator[triton.InferenceServerClient]:
    """NVIDIA's client, unmodified."""
    with triton.InferenceServerClient(f"127.0.0.1:{rpc_port}") as connected:
        yield connected


@pytest.fixture(scope="session")
def channel(rpc: Server, rpc_port: int) -> Iterator[grpc.Channel]:
    """A bare connection, for messages that no client sends."""
    with grpc.insecure_channel(f"127.0.0.1:{rpc_port}") as connected:
        yield connected
