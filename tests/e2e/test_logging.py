"""The log of a running service, as JSON and for a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server import serving, wait_until
from tests.tiny import tiny_repository


def test_without_access_log_no_request_is_logged(tmp_path: Path) -> None:
    models = tiny_repository(tmp_path / "models")
    with serving(models, tmp_path / "log", "--no-access-log") as server:
        assert server.post("/predict", bytes(784), "application/octet-stream").status == 200
        assert server.get("/nothing").status == 404
        assert server.access() == []
        (line,) = (line for line in server.lines() if line["message"] == "serving")
        assert (line["version"], line["architecture"]) == ("1", "tiny")


@pytest.mark.slow
def test_the_console_form_is_for_a_person(tmp_path: Path) -> None:
    models = tiny_repository(tmp_path / "models")
    environment = {"MNIST_LOG_FORMAT": "console"}
    with serving(models, tmp_path / "log", environment=environment) as server:
        server.get("/nothing%0A%1b[31m", {"X-Request-ID": "look"})
        wait_until(lambda: " look\n" in server.stderr())
        (line,) = (line for line in server.stderr().splitlines() if line.endswith(" look"))
        assert r" info    GET /nothing\n\x1b[31m 404 " in line
        assert "{" not in server.stderr()
