"""``/metrics`` over HTTP: its formats, its compression and its size."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from service.api.routing import EndpointRoute
from service.app import create_app
from service.rpc import METHODS
from service.settings import Settings
from tests.server import Server

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5"


@pytest.mark.parametrize(
    ("accept", "media_type", "last"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", ""),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8", "# EOF\n"),
        (
            "application/openmetrics-text;version=new",
            "application/openmetrics-text; version=1.",
            "",
        ),
        (
            "Application/OpenMetrics-Text;version=9.9",
            "application/openmetrics-text; version=1.",
            "",
        ),
        ("text/plain;version=new", "text/plain; version=0.0.4; charset=utf-8", ""),
    ],
)
def test_metrics_have_the_format_that_accept_asks_for(
    server: Server, accept: str, media_type: str, last: str
) -> None:
    answer = server.get("/metrics", {"Accept": accept})
    assert answer.headers["content-type"].startswith(media_type)
    assert answer.body.decode().endswith(last)
    assert b'mnist_requests_total{endpoint="/metrics",status="200"}' in server.get("/metrics").body


def test_metrics_are_compressed_for_who_accepts_that(server: Server) -> None:
    answer = server.get("/metrics", {"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body).startswith(b"# HELP mnist_queue_seconds")


def test_metrics_stay_small_when_every_endpoint_was_used(models: Path) -> None:
    app = create_app(Settings(models=models, grpc_port=1))
    metrics = app.state.core.metrics
    metrics.serving("1", "tiny", "cpu", fallback=False)
    paths = {each.path for each in app.router.routes if isinstance(each, EndpointRoute)}
    for path in paths | METHODS.keys():
        for status in (200, 404):
            metrics.request(path, status, 0.001)
    assert len(metrics.exposition()[0]) <= 40_000
