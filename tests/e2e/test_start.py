"""Starts that fail: one line on standard error, status 1, no traceback."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest

from service.inference.runtime import CUDA
from tests.server import serving
from tests.tiny import tiny_model_bytes, tiny_repository, tiny_version


def serve(models: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MNIST_")}
    return subprocess.run(
        [sys.executable, "-m", "service", "--models", str(models), "--port", "0", *flags],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check_failure(done: subprocess.CompletedProcess[str], reason: str) -> None:
    """Checks that one line, beside the log lines, gives the reason."""
    assert done.returncode == 1, done.stderr
    assert "raceback" not in done.stderr
    told = [line for line in done.stderr.splitlines() if '"level":"info"' not in line]
    assert len(told) == 1, told
    assert told[0].startswith("serve: ")
    assert reason in told[0]
    assert done.stdout == ""


def _break_model(folder: Path) -> None:
    shutil.rmtree(folder / "1")
    tiny_version(folder.parent, 1, tiny_model_bytes()[:500])


def _change_model(folder: Path) -> None:
    (folder / "1/model.onnx").write_bytes(tiny_model_bytes(9))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "champion is missing": shutil.rmtree,
    "champion is damaged: it holds 'x'": lambda folder: (folder / "champion").write_text("x"),
    "version 1: model.onnx has SHA-256": _change_model,
    "version 1: ": _break_model,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reason", "workers"),
    [(reason, "1") for reason in DAMAGES] + [(reason, "2") for reason in list(DAMAGES)[::2]],
)
def test_a_repository_that_cannot_serve(tmp_path: Path, reason: str, workers: str) -> None:
    models = tiny_repository(tmp_path / "models")
    DAMAGES[reason](models / "mnist")
    check_failure(serve(models, "--workers", workers), reason)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = serve(tmp_path, "--port", port)
    check_failure(done, f"cannot listen on 127.0.0.1 port {port}: Address already in use")


@pytest.mark.slow
@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="there is CUDA here")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_provider_cuda_without_cuda(tmp_path: Path, workers: str) -> None:
    models = tiny_repository(tmp_path / "models")
    done = serve(models, "--provider", "cuda", "--workers", workers)
    check_failure(done, "provider cuda does not work here")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"MNIST_HOST": "203.0.113.7"}, "cannot listen on 203.0.113.7"),
        ({"MNIST_MAX_IMAGE": "5"}, "unknown setting MNIST_MAX_IMAGE"),
        ({"MNIST_WORKERS": "many"}, "MNIST_WORKERS=many: "),
    ],
)
def test_a_wrong_setting(tmp_path: Path, environment: dict[str, str], reason: str) -> None:
    check_failure(serve(tmp_path, **environment), reason)


def test_nothing_warns(tmp_path: Path) -> None:
    models = tiny_repository(tmp_path)
    with serving(models, tmp_path / "log") as server:
        assert {line["level"] for line in server.lines()} == {"info"}


@pytest.mark.skipif(sys.platform != "linux", reason="limits are read in /proc")
def test_the_limit_of_open_files_is_raised_to_the_hard_limit(tmp_path: Path) -> None:
    own, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(own, 512), hard))
    try:
        with serving(tiny_repository(tmp_path), tmp_path / "log") as server:
            allowed = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (own, hard))
    assert allowed == (hard, hard)
