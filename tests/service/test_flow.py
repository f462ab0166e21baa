"""A JSON request passes few files: a reader can follow it from the socket to the answer."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.digits import as_json, images
from tests.server import Server, serving, wait_until
from tests.tiny import tiny_repository

SERVICE = Path(__file__).resolve().parents[2] / "service"
MOST_FILES = 14

# Python imports sitecustomize before the service. On SIGUSR1 it writes the names of the files whose
# functions ran since the last signal, in the main thread or in any other.
WITNESS = """
import json, os, signal, sys, threading
from pathlib import Path

files = set()

def note(frame, event, argument):
    if event == "call":
        files.add(frame.f_code.co_filename)

def tell(number, frame):
    fresh = Path(os.environ["FILES"] + ".fresh")
    fresh.write_text(json.dumps(list(files)))
    files.clear()
    fresh.replace(os.environ["FILES"])

signal.signal(signal.SIGUSR1, tell)
threading.setprofile(note)
sys.setprofile(note)
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The file to which the service writes the names."""
    return tmp_path / "files.json"


@pytest.fixture
def server(tmp_path: Path, files: Path) -> Iterator[Server]:
    (tmp_path / "sitecustomize.py").write_text(WITNESS)
    environment = {"PYTHONPATH": str(tmp_path), "FILES": str(files)}
    models = tiny_repository(tmp_path / "models")
    with serving(models, tmp_path / "log", environment=environment) as running:
        yield running


def executed(server: Server, files: Path) -> set[str]:
    """The files below ``service`` whose functions ran since the last call."""
    server.process.send_signal(signal.SIGUSR1)
    wait_until(files.exists)
    names: list[str] = json.loads(files.read_text())
    files.unlink()
    paths = (Path(name) for name in names)
    return {str(path.relative_to(SERVICE)) for path in paths if path.is_relative_to(SERVICE)}


def test_a_json_request_executes_few_files(server: Server, files: Path) -> None:
    """On a kept connection, after a first request; what a timer runs meanwhile does not count."""
    connection = HTTPConnection(server.host, server.port, timeout=30)
    passes = []
    for number in range(1, 7):
        executed(server, files)
        connection.request(
            "POST", "/predict", as_json(images(1)), {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        assert len(json.loads(answer.read())["predictions"]) == 1
        wait_until(lambda logged=number: server.stderr().count("/predict") == logged)
        passes.append(executed(server, files))
    connection.close()
    every = sorted(set.intersection(*passes[1:]))
    assert any(name.startswith("decode/") for name in every), every
    assert len(every) <= MOST_FILES, f"{len(every)} files: {' '.join(every)}"
