"""The ASGI application works in ASGI servers, test clients and other applications."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http.client import HTTPConnection
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI, WebSocketDisconnect
from fastapi.middleware.cors import CORSMiddleware
from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import Settings, SettingsError
from tests.digits import images
from tests.server import Answer, Server, free_port, wait_until

RAW = {"Content-Type": "application/octet-stream"}
BODY = images(3).tobytes()
VARIES = {"date", "server", "x-request-id", "server-timing", "connection", "keep-alive"}


@pytest.fixture
def app(models: Path) -> FastAPI:
    return create_app(Settings(models=models))


def what_matters(answer: Answer) -> tuple[int, dict[str, str], bytes]:
    headers = {name: value for name, value in answer.headers.items() if name not in VARIES}
    return answer.status, headers, answer.body


JSON = {"Content-Type": "application/json"}
GETS = (
    *("/predict", "/models/mnist/versions/1", "/models/mnist/versions/1/none.png"),
    *("/health/ready", "/nothing", "/v1/models/mnist/versions/1", "/v1/models/mnist:predict"),
    *("/v1/models/mnist/versions/2:predict", "/v2", "/v2/", "/v2/models/other/ready"),
    *("/v2/models/mnist/versions/2/config", "/", "/page/index.html", "/docs"),
    *("/docs/swagger-ui.css", "/openapi.json", "/datasets/mnist-test/images/0.png"),
)
REQUESTS: list[tuple[str, str, bytes, dict[str, str]]] = [
    *(("GET", target, b"", {}) for target in GETS),
    *((method, "/models/mnist/versions/1", b"", {}) for method in ("DELETE", "HEAD", "OPTIONS")),
    *(
        ("POST", f"/predict{query}", BODY, RAW)
        for query in ("", "?version=2", "?version=99", "?verison=2", "?include=seen")
    ),
    ("POST", "/predict", BODY[:-1], RAW),
    ("POST", "/predict", b"", {}),
    ("POST", "/predict", b'{"images": [[0.5]]}', JSON),
    ("POST", "/v1/models/mnist/labels/champion:predict", b'{"instances": []}', {}),
    ("POST", "/v1/models/mnist/labels/best:predict", b'{"instances": []}', {}),
    ("POST", "/v1/models/mnist:regress", b"{}", {}),
    ("POST", "/v2/models/mnist/infer", BODY[:784], {"Inference-Header-Content-Length": "0"}),
    ("POST", "/v2/models/mnist/versions/7/infer", b"{}", {}),
    ("POST", "/v2/repository/models/mnist/unload", b"{}", {}),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda r: f"{r[0]} {r[1]} {len(r[2])}")
def test_both_doors_answer_the_same(
    served: Server, asgi: Server, request_: tuple[str, str, bytes, dict[str, str]]
) -> None:
    answers = [door.request(*request_) for door in (served, asgi)]
    assert what_matters(answers[0]) == what_matters(answers[1])
    assert all("server-timing" in answer.headers for answer in answers)


@contextmanager
def running(
    command: list[str], port: int, environment: Mapping[str, str], log: Path
) -> Iterator[Server]:
    """A process that serves on ``port`` of loopback, until it is terminated."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MNIST_")}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command, stderr=stderr, stdout=stderr, env=clean | dict(environment)
        )
    server = Server.__new__(Server)
    server.host, server.port, server.process = "127.0.0.1", port, process

    def listens() -> bool:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex((server.host, port)) == 0

    try:
        wait_until(listens, 60)
        yield server
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize("name", ["hypercorn", "granian"])
def test_another_asgi_server_serves_it(
    name: str, models: Path, served: Server, tmp_path: Path
) -> None:
    port = free_port()
    command = [sys.executable, "-m", name]
    if name == "hypercorn":
        command += ["--bind", f"127.0.0.1:{port}", "service.app:create_app()"]
    else:
        command += ["--interface", "asgi", "--port", str(port), "--factory"]
        command += ["service.app:create_app"]
    environment = {"MNIST_MODELS": str(models)}
    with running(command, port, environment, tmp_path / "log") as server:
        wait_until(lambda: server.get("/health/ready").status == 200)
        for target in ("/predict", "/predict?version=99"):
            ours, theirs = (
                door.post(target, BODY, RAW["Content-Type"]) for door in (served, server)
            )
            assert (ours.status, ours.body) == (theirs.status, theirs.body)
        assert server.request("HEAD", "/models").body == b""


@pytest.mark.parametrize("lifespan", [True, False])
def test_starlettes_test_client_serves_it(app: FastAPI, served: Server, lifespan: bool) -> None:
    """Without the lifespan each request runs on an event loop of its own."""
    with TestClient(app) if lifespan else nullcontext(TestClient(app)) as client:
        for _ in range(3):
            answer = client.post("/predict", content=BODY, headers=RAW)
            assert answer.content == served.post("/predict", BODY, RAW["Content-Type"]).body
        assert client.get("/health/ready").json() == {"status": "ready"}


def test_a_websocket_is_refused(app: FastAPI) -> None:
    with TestClient(app) as client:
        for path in ("/predict", "/nothing"):
            with pytest.raises(WebSocketDisconnect), client.websocket_connect(path):
                pass


def test_httpx_calls_it_without_a_socket(app: FastAPI, served: Server) -> None:
    async def scene() -> bytes:
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://mnist") as client:
            sent = [client.post("/predict", content=BODY, headers=RAW) for _ in range(20)]
            answers = await asyncio.gather(*sent)
        assert [answer.status_code for answer in answers] == [200] * 20
        assert len({answer.content for answer in answers}) == 1
        content: bytes = answers[0].content
        return content

    assert asyncio.run(scene()) == served.post("/predict", BODY, RAW["Content-Type"]).body


def test_it_can_be_mounted_under_a_prefix(app: FastAPI) -> None:
    """Every link of the page and of the documentation leads below the prefix."""
    outer = FastAPI()
    outer.mount("/digits", app)
    with TestClient(outer) as client:
        assert client.post("/digits/predict", content=BODY, headers=RAW).status_code == 200
        assert client.get("/predict").status_code == 404
        assert client.post("/digits/v2/models/other/infer").json().keys() == {"error"}
        document = client.get("/digits/openapi.json").json()
        assert document["servers"] == [{"url": "/digits"}]
        for page in ("/digits/", "/digits/docs"):
            html = client.get(page)
            assert html.status_code == 200
            links = {part.split('"')[0] for part in html.text.split('="')[1:]}
            files = [link for link in links if link.endswith((".js", ".css", ".svg", ".png"))]
            assert len(files) >= 2
            for file in files:
                assert client.get(str(html.url.join(file))).status_code == 200, file


def test_a_mounted_service_without_a_champion_answers_503(tmp_path: Path) -> None:
    outer = FastAPI()
    outer.mount("/digits", create_app(Settings(models=tmp_path)))
    with TestClient(outer) as client:
        answer = client.post("/digits/predict", content=BODY, headers=RAW)
    assert answer.status_code == 503
    assert str(tmp_path) in answer.json()["detail"]


def test_cors_middleware_works(app: FastAPI) -> None:
    app.add_middleware(CORSMiddleware, allow_origins=["https://a.example"], allow_methods=["*"])
    asking = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    with TestClient(app) as client:
        assert client.options("/predict", headers=asking).status_code == 200
        answer = client.post("/predict", content=BODY, headers=RAW | asking)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://a.example"


def test_opentelemetry_sees_each_request_under_its_route(app: FastAPI) -> None:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    with TestClient(app) as client:
        assert client.post("/predict", content=BODY, headers=RAW).status_code == 200
        assert client.get("/v2/models/mnist/ready").status_code == 200
    names = {span.name for span in spans.get_finished_spans()}
    assert {"POST /predict", "GET /v2/models/{model}/ready"} <= names


RAY = """
import time
from ray import serve
from service.app import create_app
import ray

ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
serve.start(http_options={"host": "127.0.0.1", "port": PORT})
deployment = serve.deployment(serve.ingress(create_app)())
serve.run(deployment.options(ray_actor_options={"num_cpus": 0}).bind(), route_prefix="/digits")
print("ready", flush=True)
time.sleep(300)
"""


@pytest.mark.campaign
@pytest.mark.alone
def test_it_is_an_ingress_of_ray_serve(models: Path, served: Server, tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-c", RAY.replace("PORT", str(port))]
    environment = {"MNIST_MODELS": str(models), "RAY_USAGE_STATS_ENABLED": "0"}
    log = tmp_path / "log"
    with running(command, port, environment, log) as server:
        wait_until(lambda: "ready" in log.read_text(), 120)
        answer = server.post("/digits/predict", BODY, RAW["Content-Type"])
        assert answer.body == served.post("/predict", BODY, RAW["Content-Type"]).body
        assert server.get("/digits/openapi.json").json()["servers"] == [{"url": "/digits"}]


def test_a_slow_body_gets_408_at_the_asgi_door(asgi: Server) -> None:
    with asgi.connect(timeout=10) as connection:
        connection.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 784\r\n"
            b"Content-Type: application/octet-stream\r\n\r\n" + bytes(100)
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 408 ")


def test_settings_come_from_the_environment(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_MODELS", str(models))
    monkeypatch.setenv("MNIST_MAX_IMAGES", "2")
    with TestClient(create_app()) as client:
        assert client.post("/predict", content=BODY, headers=RAW).status_code == 413
    monkeypatch.setenv("MNIST_MAX_IMAGE", "2")
    with pytest.raises(SettingsError, match="MNIST_MAX_IMAGE"):
        create_app()


def test_http_connections_are_kept(asgi: Server) -> None:
    connection = HTTPConnection(asgi.host, asgi.port, timeout=10)
    for _ in range(3):
        connection.request("POST", "/predict", BODY, RAW)
        assert connection.getresponse().read()
    connection.close()


def test_a_service_that_keeps_nothing_loads_no_database(models: Path) -> None:
    code = f"""import sys
from service.app import create_app
from service.settings import Settings
create_app(Settings(models={str(models)!r}))
sys.exit("sqlalchemy" in sys.modules)"""
    subprocess.run([sys.executable, "-c", code], check=True)
