"""The real Prometheus and Alertmanager beside the running service.

They have the rules, the dashboard and the routing that compose and the chart use. Only addresses
and waiting times differ. Grafana is not run: each query of its dashboard is.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import numpy as np
import pytest
import yaml

from service.drift.reference import Reference
from tests.certificates import Authority
from tests.deploy.test_alerts import ROOT, RULES, tool
from tests.deploy.test_chart import RENDERED
from tests.server import Server, free_port, serving, wait_until
from tests.tiny import slow_model_bytes, tiny_repository, tiny_version

pytestmark = pytest.mark.slow

DASHBOARD = json.loads(RULES.with_name("dashboard.json").read_text())
QUERIES = {
    f"{panel['title']}/{target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
}
SELECTORS = sorted(
    {
        selector
        for group in yaml.safe_load(RULES.read_text())["groups"]
        for rule in group["rules"]
        for selector in re.findall(r"\b(?:mnist|process)_\w+(?:\{[^}]*\})?", rule["expr"])
    }
)
GRAFANA_VARIABLES = {"$__rate_interval": "15s", "$namespace": ".*", "$job": ".*"}
SLOW, DAMAGED = 2, 3


@dataclass
class Monitored:
    """A service, what watches it, and what its alerts have posted to the webhook."""

    service: Server
    models: Path
    prometheus: str
    key: str
    posted: list[dict[str, Any]] = field(default_factory=list)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Returns the series that the expression has now."""
        found = urlopen(f"{self.prometheus}/api/v1/query?{urlencode({'query': expression})}")
        series: list[dict[str, Any]] = json.load(found)["data"]["result"]
        return series


@contextmanager
def running(log: Path, *command: str) -> Iterator[None]:
    """Runs a program, and kills it on exit."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.kill()
            process.wait()


@contextmanager
def webhook(posted: list[dict[str, Any]]) -> Iterator[str]:
    """Listens as an operator's pager would; yields its URL."""

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_request(self, *_: object) -> None:
            """Writes nothing to standard error."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Webhook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def with_keys(folder: Path) -> tuple[Path, str]:
    """Writes a file of keys; returns it, and the key that Prometheus has, which expires soon."""
    key, path = "mnist_" + 43 * "k", folder / "keys"
    now = datetime.now(UTC)
    entry = {
        "name": "prometheus",
        "sha256": hashlib.sha256(key.encode()).hexdigest(),
        "scopes": ["metrics"],
        "added": now.isoformat(),
        "expires": (now + timedelta(days=2)).isoformat(),
    }
    path.write_text(json.dumps({"keys": [entry]}))
    path.chmod(0o440)
    (folder / "key").write_text(key)
    return path, key


def configured(folder: Path, service: Server, alertmanager: str, url: str) -> None:
    """Writes the committed configuration with the test's addresses and short waiting times."""
    source = ROOT / "deploy/monitoring"
    prometheus = yaml.safe_load((source / "prometheus.yml").read_text())
    prometheus["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    prometheus["rule_files"] = [str(RULES)]
    (static,) = prometheus["alerting"]["alertmanagers"][0]["static_configs"]
    static["targets"] = [alertmanager]
    (static,) = prometheus["scrape_configs"][0]["static_configs"]
    static["targets"] = [f"127.0.0.1:{service.port}"]
    prometheus["scrape_configs"][0] |= {
        "scheme": "https",
        "tls_config": {"ca_file": str(folder / "ca.crt")},
        "authorization": {"credentials_file": str(folder / "key")},
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
    routing = yaml.safe_load((source / "alertmanager.yml").read_text())
    for route in (routing["route"], *routing["route"]["routes"]):
        route["group_wait"] = "0s"
    for receiver in routing["receivers"]:
        receiver["webhook_configs"] = [{"url": url}]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routing))


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    prometheus, alertmanager = tool("prometheus"), tool("prometheus-alertmanager")
    folder = tmp_path_factory.mktemp("monitoring")
    models = tiny_repository(folder / "models", versions=(1, DAMAGED), champion=1)
    with_reference(models / "mnist" / "1" / "card.json")
    tiny_version(models, SLOW, slow_model_bytes(60))
    (models / "mnist" / str(DAMAGED) / "model.onnx").write_bytes(b"no model")
    posted: list[dict[str, Any]] = []
    here, there = (f"127.0.0.1:{free_port()}" for _ in range(2))
    keys, key = with_keys(folder)
    authority = Authority()
    certificate, private = authority.issue(days=1)
    (folder / "ca.crt").write_bytes(authority.certificate)
    (folder / "tls.pem").write_bytes(certificate + private)
    flags = ("--keys", str(keys), "--open", "predict", "--tls-cert", str(folder / "tls.pem"))
    running_service = serving(models, folder / "serve.log", *flags, tls=authority.client())
    with running_service as service, webhook(posted) as url:
        configured(folder, service, there, url)
        with (
            running(
                folder / "prometheus.log",
                *(prometheus, f"--config.file={folder}/prometheus.yml"),
                *(f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address={here}"),
            ),
            running(
                folder / "alertmanager.log",
                *(alertmanager, f"--config.file={folder}/alertmanager.yml"),
                *(f"--storage.path={folder}/alerts", f"--web.listen-address={there}"),
                "--cluster.listen-address=",
            ),
        ):
            watched = Monitored(service, models, f"http://{here}", key, posted)
            wait_until(lambda: answers(lambda: watched.query("mnist_workers")), 60)
            yield watched


def answers(ask: Callable[[], Any]) -> Any:
    """Returns what ``ask`` returns, or None while nothing listens."""
    try:
        return ask()
    except OSError:
        return None


def with_reference(card: Path) -> None:
    """Adds a reference to a card, so that the service tells of drift."""
    rows = np.random.default_rng(0).dirichlet(np.ones(10), 500).astype(np.float32)
    rows[0] = 0.1  # what it answers to a blank image
    reference = Reference.of(np.zeros((500, 28, 28), np.uint8), rows, rows.argmax(axis=1), 0.5)
    assert reference is not None
    told = {**json.loads(card.read_text()), "reference": reference.as_dict()}
    card.write_text(json.dumps(told))


def use(service: Server) -> None:
    """Sends one request of each kind: answered in doubt, refused, and late."""
    image = bytes(784)
    raw = "application/octet-stream"
    assert service.post("/predict", 100 * image, raw).status == 200
    assert service.post("/predict", b"{", "application/json").status == 400
    late = {"X-Request-Timeout-Ms": "1"}
    assert service.post(f"/predict?version={SLOW}", 64 * image, raw, late).status == 504


def told(monitored: Monitored, name: str, receiver: str) -> list[dict[str, Any]]:
    """Returns the alerts of this name that reached the webhook of a receiver."""
    return [
        alert
        for post in monitored.posted
        for alert in post["alerts"]
        if post["receiver"] == receiver and alert["labels"]["alertname"] == name
    ]


def substituted(query: str) -> str:
    """Replaces the variables as Grafana does."""
    for variable, value in GRAFANA_VARIABLES.items():
        query = query.replace(variable, value)
    assert "$" not in query
    return query


def missing(monitored: Monitored, expressions: dict[str, str]) -> Callable[[], bool]:
    """A condition: every expression has series, while requests of each kind arrive."""
    left = dict(expressions)

    def all_found() -> bool:
        use(monitored.service)
        for name, expression in expressions.items():
            if name in left and monitored.query(expression):
                del left[name]
        time.sleep(0.3)
        return not left

    all_found.__qualname__ = f"series for {left}"
    return all_found


def test_every_query_of_the_dashboard_has_figures_of_the_running_service(
    monitored: Monitored,
) -> None:
    queries = {name: substituted(query) for name, query in QUERIES.items()}
    assert len(queries) > 30
    wait_until(missing(monitored, queries), 60)


def test_keda_scales_by_a_figure_of_the_running_service(monitored: Monitored) -> None:
    """But for the labels of Kubernetes, which this Prometheus does not add."""
    rendered = [each for manifests in RENDERED.values() for each in manifests]
    (scaled,) = (each for each in rendered if each["kind"] == "ScaledObject")
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    bare, changes = re.subn(r'\{namespace="default", pod=~"mnist[\w-]*-\.\*"\}', "", query)
    assert changes == 1
    wait_until(missing(monitored, {"keda": bare}), 60)


def test_every_series_that_a_rule_reads_is_one_that_the_service_exposes(
    monitored: Monitored,
) -> None:
    assert len(SELECTORS) > 8
    wait_until(missing(monitored, {each: each for each in SELECTORS}), 60)


def test_prometheus_finds_nothing_wrong_with_the_metrics(monitored: Monitored) -> None:
    use(monitored.service)
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=monitored.service.get("/metrics", {"X-API-Key": monitored.key}).body,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_alert_reaches_the_operator(monitored: Monitored) -> None:
    """The champion file names a damaged version: the service cannot load it, and says so."""
    (monitored.models / "mnist/champion").write_text(f"{DAMAGED}\n")

    failed = partial(told, monitored, "MnistReloadFailed", "ticket")
    wait_until(failed, 60)
    address = f"127.0.0.1:{monitored.service.port}"
    assert failed()[0]["status"] == "firing"
    assert failed()[0]["labels"]["instance"] == address
    assert failed()[0]["annotations"]["summary"] == f"{address} could not load a version."
    assert monitored.service.post("/predict", bytes(784), "application/octet-stream").status == 200


@pytest.mark.parametrize(
    ("alert", "receiver", "summary"),
    [
        ("MnistKeyExpires", "ticket", "A key expires in 1d 23h"),
        ("MnistCertificateExpires", "ticket", "The certificate expires in 23h"),
        ("MnistCertificateExpiresNow", "page", "The certificate expires in 23h"),
    ],
)
def test_what_expires_soon_is_announced(
    monitored: Monitored, alert: str, receiver: str, summary: str
) -> None:
    announced = partial(told, monitored, alert, receiver)
    wait_until(announced, 60)
    assert announced()[0]["annotations"]["summary"].startswith(summary)
