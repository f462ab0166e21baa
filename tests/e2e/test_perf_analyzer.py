"""NVIDIA's unmodified load generator measures the service and finds its statistics."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.server import Server, free_port, serving, wait_until
from tests.tiny import tiny_repository


@pytest.fixture(scope="module")
def perf_analyzer() -> Path:
    """Returns the program itself, since the package's command hides its exit status."""
    package = find_spec("perf_analyzer")
    if package is None or package.origin is None:
        pytest.skip(
            "perf_analyzer is not installed: it has wheels for Linux with glibc 2.38 or newer"
        )
    program = Path(package.origin).parent / "bin" / "perf_analyzer"
    tried = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"perf_analyzer does not run here: {tried.stderr.strip()[:200]}")
    return program


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_repository(tmp_path_factory.mktemp("perf"), versions=(1, 2), champion=2)


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[Server]:
    with serving(root, root / "log", "--no-access-log") as server:
        yield server


@pytest.mark.campaign
@pytest.mark.parametrize(
    "arguments",
    [
        "--concurrency-range 2",
        "--concurrency-range 4 -b 8 --async",
        "--request-rate-range 100 -x 1",
        "--concurrency-range 1 --input-data zero --input-tensor-format json",
        "--concurrency-range 1:4 --binary-search -l 1000 --output-tensor-format json",
    ],
)
def test_perf_analyzer_measures(perf_analyzer: Path, server: Server, arguments: str) -> None:
    measure(perf_analyzer, server, arguments)


@pytest.mark.campaign
def test_perf_analyzer_measures_workers_as_one(perf_analyzer: Path, root: Path) -> None:
    """At one connection: a worker may tell the statistics and another one do the work."""
    with serving(root, root / "log-2", "--no-access-log", "--workers", "2") as server:
        wait_until(lambda: server.metric("mnist_workers") == 2, 60)
        for _ in range(3):
            measure(perf_analyzer, server, "--concurrency-range 1")


def measure(perf_analyzer: Path, server: Server, arguments: str) -> None:
    command = [str(perf_analyzer), "-m", "mnist", "-u", f"{server.host}:{server.port}"]
    # The test needs one measurement, so any spread of the times counts as stable.
    command += [*arguments.split(), "--measurement-interval", "500", "-s", "999"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    told = run.stdout + run.stderr
    assert run.returncode == 0, told
    counted = re.search(r"Successful request count: (\d+)", told)
    assert counted is not None, told
    assert int(counted[1]) > 0
    assert re.search(r"queue \d+ usec \+ compute input \d+ usec \+ compute infer \d+ usec", told)


@pytest.mark.campaign
def test_perf_analyzer_measures_grpc(perf_analyzer: Path, root: Path) -> None:
    port = free_port()
    flags = "--no-access-log", "--grpc-port", str(port)
    with serving(root, root / "log-grpc", *flags):
        for arguments in ("-b 8", "--streaming --async"):
            command = [str(perf_analyzer), "-m", "mnist", "-i", "grpc", "-u", f"127.0.0.1:{port}"]
            command += ["--concurrency-range", "4", *arguments.split(), "-p", "500", "-s", "300"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
            found = re.search(r"Successful request count: (\d+)", done.stdout)
            assert found, done.stdout[-2000:]
            assert int(found[1]) > 0
