"""The chart renders what Kubernetes accepts and hardens, and refuses wrong values in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from service import __version__
from service.settings import Settings, read_settings
from tests.deploy.definitions import validate_custom
from tests.deploy.render import CHART, MANIFESTS, ROOT, VALUES, kubernetes_yaml, objects, render

helm_python = pytest.importorskip("helm_python", reason="Helm's library has no wheel here")
FULL = yaml.safe_load((ROOT / "tests/deploy/full.values.yaml").read_text())
CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "kubernetes.yaml": yaml.safe_load(VALUES.read_text()),
    "full": FULL,
    "keda and mutual TLS": FULL
    | {
        "autoscaling": {"enabled": False},
        "keda": {"enabled": True, "prometheus": "http://prometheus:9090"},
        "tls": {"existingSecret": "mnist-tls", "clientCertificates": True},
        "image": {"repository": "mnist-serve", "digest": "sha256:" + 64 * "a"},
    },
}
RENDERED = {name: objects(render(values)) for name, values in CASES.items()}
CUSTOM = {"GRPCRoute", "HTTPRoute", "PrometheusRule", "ScaledObject", "ServiceMonitor"}
VERSIONS = [f"1.{minor}" for minor in range(29, 38)]


def pods(rendered: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Returns the specification of each pod."""
    for each in rendered:
        if each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]
        elif each["kind"] == "CronJob":
            yield each["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def violations(pod: dict[str, Any]) -> list[str]:
    """What the Pod Security Standard `restricted` forbids in a pod of Linux containers."""
    allowed = {"configMap", "emptyDir", "image", "persistentVolumeClaim", "projected", "secret"}
    found = [f"pod.{name}" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    found += [v["name"] for v in pod.get("volumes", []) if not (v.keys() - {"name"}) <= allowed]
    shared = pod.get("securityContext", {})
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        own = container.get("securityContext", {})
        both, name = shared | own, container["name"]
        good = {
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "capabilities": own.get("capabilities", {}).get("drop") == ["ALL"]
            and set(own["capabilities"].get("add", [])) <= {"NET_BIND_SERVICE"},
            "privileged": not own.get("privileged"),
            "procMount": own.get("procMount", "Default") == "Default",
            "runAsNonRoot": both.get("runAsNonRoot") is True,
            "runAsUser": both.get("runAsUser") != 0,
            "seccomp": both.get("seccompProfile", {}).get("type")
            in {"RuntimeDefault", "Localhost"},
            "hostPort": not any(p.get("hostPort") for p in container.get("ports", [])),
        }
        found += [f"{name}.{rule}" for rule, holds in good.items() if not holds]
    return found


@pytest.mark.parametrize("values", CASES.values(), ids=CASES)
def test_lint_finds_nothing(values: dict[str, Any]) -> None:
    report = helm_python.lint(CHART, values, strict=True)
    assert report["errors"] == []
    assert {each["error"] for each in report["messages"]} <= {"icon is recommended"}


def test_the_plain_manifests_are_those_of_the_chart() -> None:
    """If not, ``python -m tests.deploy.render`` writes them."""
    assert MANIFESTS.read_text() == kubernetes_yaml()


@pytest.mark.parametrize(
    "version",
    [pytest.param(each, marks=pytest.mark.campaign) for each in VERSIONS[1:-1]]
    + [pytest.param(each, marks=pytest.mark.slow) for each in (VERSIONS[0], VERSIONS[-1])],
)
def test_kubernetes_knows_every_field(version: str) -> None:
    for rendered in RENDERED.values():
        for each in rendered:
            if each["kind"] not in CUSTOM:
                kubernetes_validate.validate(each, version, strict=True)


def test_the_definitions_of_custom_resources_know_every_field() -> None:
    custom = [each for name in CASES for each in RENDERED[name] if each["kind"] in CUSTOM]
    assert {each["kind"] for each in custom} == CUSTOM
    for each in custom:
        validate_custom(each)
        with pytest.raises(jsonschema.ValidationError) as refused:
            validate_custom(each | {"spec": each["spec"] | {"unheard": 1}})
        assert "unheard" in refused.value.message


@pytest.mark.parametrize("version", ["1.31", VERSIONS[-1]])
def test_an_image_volume_needs_kubernetes_1_31(version: str) -> None:
    oci = {"models": {"source": "oci", "oci": {"reference": "registry.example/digits:3"}}}
    (deployment,) = (each for each in objects(render(oci)) if each["kind"] == "Deployment")
    kubernetes_validate.validate(deployment, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError, match="image"):
        kubernetes_validate.validate(deployment, "1.30", strict=True)


def test_the_chart_has_the_version_of_the_service() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_a_plain_cluster_has_all_that_the_default_needs() -> None:
    assert {each["kind"] for each in RENDERED["default"]} == {
        *("ConfigMap", "Deployment", "NetworkPolicy", "PodDisruptionBudget"),
        *("Service", "ServiceAccount"),
    }
    full = {each["kind"] for name in CASES for each in RENDERED[name]}
    assert full >= CUSTOM | {"CronJob", "HorizontalPodAutoscaler", "Ingress", "Secret"}


@pytest.mark.parametrize("rendered", RENDERED.values(), ids=RENDERED)
def test_pods_are_restricted_bounded_and_hold_no_token(rendered: list[dict[str, Any]]) -> None:
    for pod in pods(rendered):
        assert violations(pod) == []
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        for container in [*pod.get("initContainers", []), *pod["containers"]]:
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert ":" in container["image"].rpartition("/")[2]
        for volume in pod["volumes"]:
            assert volume.get("emptyDir", {"sizeLimit": ""}).keys() == {"sizeLimit"}
    (account,) = (each for each in rendered if each["kind"] == "ServiceAccount")
    assert account["automountServiceAccountToken"] is False


def test_the_check_of_pod_security_finds_what_is_not_restricted() -> None:
    bare = {
        "hostPID": True,
        "containers": [{"name": "c"}],
        "volumes": [{"name": "v", "hostPath": {}}],
    }
    found = {each.rpartition(".")[2] for each in violations(bare)}
    assert found == {
        *("hostPID", "v", "allowPrivilegeEscalation", "capabilities", "runAsNonRoot", "seccomp"),
    }


def test_selectors_and_policies_reach_their_own_pods_alone() -> None:
    for rendered in RENDERED.values():
        labels = {}
        for each in rendered:
            if each["kind"] == "Deployment":
                labels["serve"] = each["spec"]["template"]["metadata"]["labels"]
            elif each["kind"] == "CronJob":
                template = each["spec"]["jobTemplate"]["spec"]["template"]
                labels["train"] = template["metadata"]["labels"]
        for each in rendered:
            selector = each.get("spec", {}).get("selector") or each.get("spec", {}).get(
                "podSelector"
            )
            if selector is None:
                continue
            wanted = selector.get("matchLabels", selector).items()
            reached = {pod for pod, own in labels.items() if wanted <= own.items()}
            train = each["metadata"]["name"].endswith("-train")
            assert reached == {"train" if train else "serve"}, each["metadata"]["name"]


def test_the_service_accepts_the_settings_and_has_time_to_drain() -> None:
    for name in ("default", "kubernetes.yaml"):
        found = {each["kind"]: each for each in RENDERED[name]}
        settings = read_settings({}, found["ConfigMap"]["data"])
        (pod, *_) = pods(RENDERED[name])
        needed = settings.drain_delay_s + settings.drain_timeout_s
        assert pod["terminationGracePeriodSeconds"] >= needed + 5
    for rendered in RENDERED.values():
        (settings,) = (each["data"] for each in rendered if "MNIST_MODELS" in each.get("data", {}))
        names = {each.removeprefix("MNIST_").lower() for each in settings}
        assert names <= Settings.model_fields.keys()
    (pod, *_) = pods(RENDERED["full"])
    assert pod["terminationGracePeriodSeconds"] >= 7.5 + 20 + 5


def test_operators_get_the_tested_rules_and_dashboard() -> None:
    files = CHART / "files"
    (rules,) = (each for each in RENDERED["full"] if each["kind"] == "PrometheusRule")
    assert rules["spec"] == yaml.safe_load((files / "alerts.yaml").read_text())
    (dashboard,) = (
        each["data"]["mnist-serve.json"]
        for each in RENDERED["full"]
        if each["metadata"]["name"].endswith("-dashboard")
    )
    assert json.loads(dashboard) == json.loads((files / "dashboard.json").read_text())


def test_every_value_is_described_and_checked() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())

    def compare(value: dict[str, Any], node: dict[str, Any], path: str) -> None:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        if "properties" not in node:
            assert node.get("additionalProperties") is not None or node["type"] == "object", path
            return
        assert node["additionalProperties"] is False or not path, path
        optional = {"global"} if not path else {"pullPolicy"}
        assert node["properties"].keys() - optional <= value.keys(), path
        for name, inner in value.items():
            if isinstance(inner, dict):
                compare(inner, node["properties"][name], f"{path}.{name}")

    compare(values, schema, "")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"replicas": "two"}, "at '/replicas': got string, want integer"),
        ({"replica": 3}, "additional properties 'replica' not allowed"),
        ({"image": {"tag": "latest"}}, "image.tag of mnist-serve is latest"),
        ({"settings": {"port": 9000}}, "settings.port: the chart sets it from the value service"),
        ({"settings": {"max_images": [1]}}, "at '/settings/max_images': got array"),
        ({"models": {"source": "s3"}}, "must be one of 'image', 'claim', 'oci'"),
        ({"models": {"source": "oci"}}, "models.oci.reference must name the image"),
        ({"access": {"open": ["all"]}}, "at '/access/open/0': value must be one of 'predict'"),
        ({"access": {"corsOrigins": ["*"]}}, "at '/access/corsOrigins/0': '*' does not match"),
        ({"resources": {"limits": {"memory": "lots"}}}, "'lots' does not match pattern"),
        ({"adminPort": 8000}, "adminPort 8000 is taken by the service or by gRPC"),
        ({"tls": {"clientCertificates": True}}, "tls.clientCertificates needs tls.existingSecret"),
        ({"training": {"enabled": True}}, "training.enabled needs models.source claim"),
        (
            {"training": {"schedule": "nightly"}},
            "at '/training/schedule': 'nightly' does not match",
        ),
        ({"autoscaling": {"minReplicas": 20}}, "autoscaling.minReplicas is above"),
        (
            CASES["full"] | {"keda": {"enabled": True, "prometheus": "http://p"}},
            "exclude each other",
        ),
        ({"keda": {"enabled": True}}, "keda.prometheus must be the address of Prometheus"),
        ({"ingress": {"enabled": True}}, "ingress.host must be the name"),
        ({"gateway": {"enabled": True}}, "gateway.parentRefs must name the gateway"),
        ({"networkPolicy": {"from": "all"}}, "at '/networkPolicy/from': got string, want array"),
        ({"podDisruptionBudget": {"maxUnavailable": 0}}, "minimum: got 0, want 1"),
    ],
    ids=lambda value: json.dumps(value)[:40] if isinstance(value, dict) else "",
)
def test_a_wrong_value_is_refused_in_words(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(helm_python.HelmError) as refused:
        render(wrong)
    assert words in str(refused.value)
