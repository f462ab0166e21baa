"""Each alert fires when it should and only then, by ``promtool``, and pages or files a ticket."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.api.routing import EndpointRoute
from service.app import create_app
from service.rpc import METHODS
from service.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "deploy/helm/mnist-serve/files/alerts.yaml"
CASES = ROOT / "deploy/monitoring/alerts_test.yaml"
ALERTS: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
]


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install prometheus prometheus-alertmanager")
    return found


@pytest.mark.slow
def test_each_alert_fires_and_stays_silent_as_its_cases_say() -> None:
    done = subprocess.run(
        [tool("promtool"), "test", "rules", str(CASES)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case_that_fires_beside_series_that_must_not() -> None:
    cases = yaml.safe_load(CASES.read_text())["tests"]
    checks = [check for case in cases for check in case["alert_rule_test"]]
    fired = {check["alertname"] for check in checks if check["exp_alerts"]}
    assert fired == {alert["alert"] for alert in ALERTS}
    for case in cases:
        silent = any(not check["exp_alerts"] for check in case["alert_rule_test"])
        assert silent or len(case["input_series"]) > 1, case["name"]


def test_probes_and_scrapes_are_no_requests_of_users_and_every_protocol_is() -> None:
    text = RULES.read_text() + RULES.with_name("dashboard.json").read_text().replace("\\", "")
    (probes,) = set(re.findall('endpoint!~"(.*?)"', text))
    (classified,) = set(re.findall('endpoint=~"(.*?)"', text))
    routes = [each for each in create_app(Settings()).routes if isinstance(each, EndpointRoute)]
    paths = {each.path for each in routes} | METHODS.keys()
    no_users = {path for path in paths if re.fullmatch(probes, path)}
    assert no_users == {path for path in paths if path.lower().endswith(("live", "ready"))} | {
        *("/metrics", "/monitoring/prometheus/metrics"),
        *("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"),
    }
    judged = {path for path in paths - no_users if re.fullmatch(classified, path)}
    named = ("predict", "/infer", ":classify", "/ModelInfer")
    assert judged == {path for path in paths if path.endswith(named)}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_each_alert_says_how_urgent_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"].keys() == {"summary", "action"}
    for setting in re.findall(r"MNIST_(\w+)", alert["annotations"]["action"]):
        assert setting.lower() in Settings.model_fields


def test_compose_has_a_valid_prometheus_and_alertmanager() -> None:
    folder = ROOT / "deploy/monitoring"
    for command in (
        [tool("promtool"), "check", "config", "--syntax-only", str(folder / "prometheus.yml")],
        [tool("promtool"), "check", "rules", str(RULES)],
        [tool("amtool"), "check-config", str(folder / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
