"""The log of a running service, as JSON and for a person."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.digits import as_json, images
from tests.server import Server, free_port, serving, wait_until
from tests.tiny import tiny_repository

TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_a_line_says_who_asked_for_what_and_what_it_weighed(server: Server) -> None:
    fields = {
        "X-Request-ID": "weighed",
        "User-Agent": 'teller/1 "é" ' + "x" * 300,
        "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    }
    answer = server.post("/predict", body := as_json(images(2)), headers=fields)
    wait_until(lambda: "weighed" in server.stderr())
    (line,) = (line for line in server.access() if line["request_id"] == "weighed")
    assert (line["client"], line["version"], line["trace_id"]) == ("127.0.0.1", "2", TRACE)
    assert (line["bytes_in"], line["bytes_out"]) == (len(body), len(answer.body))
    assert line["user_agent"] == fields["User-Agent"][:200]
    assert "key" not in line


def test_each_use_of_the_scope_admin_is_audited(server: Server) -> None:
    body = b'{"parameters": {"version": "3"}}'
    path = "/v2/repository/models/mnist/unload"
    assert server.post(path, body, headers={"X-Request-ID": "gone"}).status == 200
    wait_until(lambda: server.stderr().count('"gone"') == 2)
    _, audit = (line for line in server.lines() if line.get("request_id") == "gone")
    assert audit["message"] == "audit"
    assert (audit["version"], audit["status"], audit["path"]) == ("3", 200, path)


def test_a_stalled_reader_of_the_log_costs_nobody_an_answer(tmp_path: Path) -> None:
    """The lines of these requests are several times what a pipe and the queue hold."""
    models, port = tiny_repository(tmp_path / "models"), free_port()
    reader, writer = os.pipe()
    server = Server(models, tmp_path / "log", "--port", str(port), stderr=writer)
    server.port = port
    os.close(writer)
    try:
        server.wait_until_ready()
        target = "/" + "x" * 7000
        with server.connect() as connection:
            for _ in range(16):
                connection.sendall(
                    f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * 50
                )
                answers = b""
                while answers.count(b"HTTP/1.1 404") < 50:
                    answers += connection.recv(1 << 20)
        assert server.metric("mnist_log_lines_dropped_total") > 0
        assert server.stop() == 0
    finally:
        server.process.kill()
        server.process.wait()
    with os.fdopen(reader) as log:
        assert json.loads(log.readline())["message"] == "listening"


def test_without_access_log_no_request_is_logged(tmp_path: Path) -> None:
    models = tiny_repository(tmp_path / "models")
    with serving(models, tmp_path / "log", "--no-access-log", "--open", "predict") as server:
        assert server.post("/predict", bytes(784), "application/octet-stream").status == 200
        assert server.get("/nothing").status == 404
        assert server.access() == []
        refused = server.request("POST", "/v2/repository/models/mnist/load", b"{}")
        wait_until(lambda: '"audit"' in server.stderr())
        (audit,) = (line for line in server.lines() if line["message"] == "audit")
        told = (audit["client"], audit["method"], audit["path"], audit["status"])
        path = "/v2/repository/models/mnist/load"
        assert told == ("127.0.0.1", "POST", path, refused.status)
        wait_until(lambda: '"serving"' in server.stderr())
        (line,) = (line for line in server.lines() if line["message"] == "serving")
        assert (line["version"], line["architecture"]) == ("1", "tiny")


@pytest.mark.slow
def test_the_console_form_is_for_a_person(tmp_path: Path) -> None:
    models = tiny_repository(tmp_path / "models")
    environment = {"MNIST_LOG_FORMAT": "console"}
    with serving(models, tmp_path / "log", environment=environment) as server:
        server.get("/nothing%0A%1b[31m", {"X-Request-ID": "look"})
        wait_until(lambda: "=look " in server.stderr())
        (line,) = (line for line in server.stderr().splitlines() if "=look " in line)
        assert r" info    GET /nothing\n\x1b[31m 404 " in line
        assert "{" not in server.stderr()
