"""KServe's resource definitions accept the manifests, and the service accepts what they set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from service.app import create_app
from service.settings import Settings, read_settings
from tests.deploy.definitions import validate_custom
from tests.deploy.render import ROOT
from tests.deploy.test_chart import RENDERED, pods, violations

FOLDER = ROOT / "deploy/kserve"
RUNTIMES = list(yaml.safe_load_all((FOLDER / "runtimes.yaml").read_text()))
SERVICES = list(yaml.safe_load_all((FOLDER / "services.yaml").read_text()))
CONTAINER = RUNTIMES[0]["spec"]["containers"][0]
MANIFESTS = {f"{each['kind']} {each['metadata']['name']}": each for each in RUNTIMES + SERVICES}


@pytest.mark.parametrize("manifest", MANIFESTS.values(), ids=MANIFESTS)
def test_kserve_knows_every_field(manifest: dict[str, Any]) -> None:
    validate_custom(manifest)
    with pytest.raises(jsonschema.ValidationError) as refused:
        validate_custom(manifest | {"spec": manifest["spec"] | {"unheard": 1}})
    assert "unheard" in refused.value.message


def test_both_runtimes_are_the_same() -> None:
    cluster, namespaced = RUNTIMES
    assert (cluster["kind"], namespaced["kind"]) == ("ClusterServingRuntime", "ServingRuntime")
    assert cluster["spec"] == namespaced["spec"]


@pytest.mark.parametrize("runtime", RUNTIMES, ids=lambda each: each["kind"])
def test_the_container_is_restricted_and_that_of_the_chart(runtime: dict[str, Any]) -> None:
    assert violations(runtime["spec"]) == []
    (pod,) = pods(RENDERED["default"])
    assert CONTAINER["name"] == "kserve-container"
    for name in ("image", "resources"):
        assert CONTAINER[name] == pod["containers"][0][name]
    assert runtime["spec"]["volumes"][-1] in pod["volumes"]


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: each["metadata"]["name"])
def test_each_service_finds_its_runtime_and_starts_with_valid_settings(
    service: dict[str, Any],
) -> None:
    model = service["spec"]["predictor"]["model"]
    spec = RUNTIMES[0]["spec"]
    assert model["runtime"] in {each["metadata"]["name"] for each in RUNTIMES}
    assert model["protocolVersion"] in spec["protocolVersions"]
    formats = [{"name": f["name"], "version": f["version"]} for f in spec["supportedModelFormats"]]
    assert model["modelFormat"] in formats
    environment = {
        each["name"]: each["value"] for each in [*CONTAINER["env"], *model.get("env", [])]
    }
    settings = read_settings({}, environment)
    for port in model.get("ports", []):
        assert port["containerPort"] == settings.grpc_port
    mounted = "/mnt/models" if "storageUri" in model else "/app/models"
    assert settings.models == Path(mounted)
    paths = create_app(Settings()).openapi()["paths"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert CONTAINER[probe]["httpGet"]["port"] == settings.port
        assert CONTAINER[probe]["httpGet"]["path"] in paths
