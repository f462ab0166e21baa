"""Sampled requests become spans at a collector, which here is a socket that parses OTLP."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.digits import as_json, images
from tests.server import DOORS, Server, serving, wait_until
from tests.tiny import tiny_repository

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs the extra otel")
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Keeps the spans that it gets, or answers with an error ``status``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []
        self.status = 200


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.status == 200:
            assert self.path == "/v1/traces"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {each.key: each.value.string_value for each in resource.resource.attributes}
                assert names["service.name"] == "mnist-serve"
                self.server.spans += [s for scope in resource.scope_spans for s in scope.spans]
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Writes nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(params=DOORS)
def server(
    request: pytest.FixtureRequest, collector: Collector, tmp_path: Path
) -> Iterator[Server]:
    models = tiny_repository(tmp_path / "models")
    url = f"http://127.0.0.1:{collector.server_address[1]}"
    flags = ("--otlp-endpoint", url, "--trace-share", "0")
    with serving(models, tmp_path / "log", *flags, door=request.param) as running:
        yield running


def ask(server: Server, flags: str, count: int = 2) -> None:
    field = {"traceparent": f"00-{TRACE}-{CALLER}-{flags}"}
    server.post("/predict", as_json(images(count)), headers=field)


@pytest.mark.slow
def test_a_sampled_request_is_a_span_with_a_child_for_each_step(
    server: Server, collector: Collector
) -> None:
    ask(server, "00")
    server.get("/health/live", {"traceparent": "00-nonsense"})
    ask(server, "01")
    wait_until(lambda: len(collector.spans) >= 4, 30)
    root, *children = sorted(collector.spans, key=lambda s: s.parent_span_id.hex() != CALLER)
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    assert (root.name, root.kind, root.parent_span_id.hex()) == ("POST /predict", 2, CALLER)
    assert {child.parent_span_id for child in children} == {root.span_id}
    steps = sorted(children, key=lambda s: (s.start_time_unix_nano, s.end_time_unix_nano))
    assert {child.name for child in steps} == {"decode", "queue", "infer"}
    for child in steps:
        assert root.start_time_unix_nano <= child.start_time_unix_nano
        assert child.start_time_unix_nano <= child.end_time_unix_nano <= root.end_time_unix_nano
    told = {each.key: each.value for each in root.attributes}
    assert told["http.request.method"].string_value == "POST"
    assert told["http.route"].string_value == "/predict"
    assert told["http.response.status_code"].int_value == 200
    assert told["client.address"].string_value == "127.0.0.1"
    assert told["mnist.version"].string_value == "1"
    text = server.get("/metrics", {"Accept": "application/openmetrics-text"}).body.decode()
    assert f'trace_id="{TRACE}"' in text
    collector.status = 400
    ask(server, "01")
    wait_until(lambda: "Failed to export span" in server.stderr(), 30)


def test_without_the_extra_the_start_says_what_to_install(tmp_path: Path) -> None:
    missing = 'import sys; sys.modules["opentelemetry.exporter"] = None'
    (tmp_path / "sitecustomize.py").write_text(missing)
    command = [sys.executable, "-m", "service", "--otlp-endpoint", "http://127.0.0.1:4318"]
    done = subprocess.run(
        command,
        env={"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    needs = "MNIST_OTLP_ENDPOINT needs OpenTelemetry: pip install 'mnist-serve[otel]'"
    assert (done.returncode, done.stderr) == (1, f"serve: {needs}\n")
