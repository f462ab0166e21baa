"""The Kubernetes manifests match the images, the service and each other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from service import __version__
from service.app import create_app
from service.settings import Settings
from tests.certificates import Authority
from tests.server import serving
from tests.tiny import tiny_repository
from training.cli.flags import parse

ROOT = Path(__file__).resolve().parent.parent.parent
OBJECTS: dict[str, Any] = {
    each["kind"]: each for each in yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text())
}
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVE = OBJECTS["Deployment"]["spec"]["template"]["spec"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TRAIN = OBJECTS["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
PODS = [SERVE, TRAIN]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_the_images_are_those_that_compose_builds() -> None:
    services = COMPOSE["services"]
    assert services["mnist"]["image"] == f"mnist-serve:{__version__}"
    assert {c["image"] for c in containers(SERVE)} == {services["mnist"]["image"]}
    assert {c["image"] for c in containers(TRAIN)} == {services["train"]["image"]}


@pytest.mark.parametrize("pod", PODS)
def test_pods_run_as_the_images_user_and_write_only_to_their_volumes(pod: dict[str, Any]) -> None:
    user = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    security = pod["securityContext"]
    assert user == [(str(security["runAsUser"]), str(security["fsGroup"]))]
    assert security["runAsNonRoot"]
    mounts = {m["mountPath"]: m for m in pod["containers"][0]["volumeMounts"]}
    assert set(mounts) == {"/app/models", "/tmp"}
    assert mounts["/app/models"].get("readOnly", False) is (pod is SERVE)


@pytest.mark.parametrize("pod", PODS)
def test_the_service_and_the_training_share_the_claimed_volume(pod: dict[str, Any]) -> None:
    claims = {
        v["name"]: v.get("persistentVolumeClaim", {}).get("claimName") for v in pod["volumes"]
    }
    assert claims == {"models": OBJECTS["PersistentVolumeClaim"]["metadata"]["name"], "tmp": None}
    named = {m["name"] for c in containers(pod) for m in c["volumeMounts"]}
    assert named == set(claims)


def test_the_ports_and_the_probes_are_those_of_the_service() -> None:
    (serve,) = SERVE["containers"]
    (port,) = serve["ports"]
    assert port["containerPort"] == Settings.model_fields["port"].default
    assert [p["targetPort"] for p in OBJECTS["Service"]["spec"]["ports"]] == [port["name"]]
    paths = create_app(Settings()).openapi()["paths"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert serve[probe]["httpGet"]["port"] == port["name"]
        assert serve[probe]["httpGet"]["path"] in paths


def test_the_nightly_command_parses() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    service = COMPOSE["services"]["train"]
    for program, *arguments in (
        TRAIN["containers"][0]["command"],
        [*service["entrypoint"], *service["command"]],
    ):
        assert program in scripts
        assert parse(arguments).feedback
    assert len(OBJECTS["CronJob"]["spec"]["schedule"].split()) == 5
    assert OBJECTS["CronJob"]["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_documented_line_for_cron_is_one_and_runs_a_service_that_compose_has() -> None:
    (line,) = re.findall(
        r"^```crontab\n(.*)\n```$", (ROOT / "docs/operations.md").read_text(), re.MULTILINE
    )
    *when, command = line.split(maxsplit=5)
    assert " ".join(when) == OBJECTS["CronJob"]["spec"]["schedule"]
    assert re.search(r"docker compose run -T --rm (\w+)$", command)[1] in COMPOSE["services"]  # type: ignore[index]


def test_each_image_that_serves_lists_the_packages_that_it_holds() -> None:
    images = re.findall(r"^FROM service AS (\w+)\n(.*?)(?=^FROM|\Z)", DOCKERFILE, re.M | re.S)
    assert len(images) == 2
    for name, steps in images:
        assert f"COPY --from={name}-sbom /sbom.cdx.json /usr/share/sbom/" in steps
        (listed,) = re.findall(rf"^FROM \S+ AS {name}-sbom\n(.*?)^RUN", DOCKERFILE, re.M | re.S)
        assert [line for line in listed.splitlines() if line] == [
            line
            for line in steps.splitlines()
            if line.endswith("/opt/venv /opt/venv") or "project" in line
        ]


@pytest.mark.slow
@pytest.mark.parametrize("files", [1, 2], ids=["TLS", "mutual TLS"])
def test_the_health_check_of_the_image_finds_the_service(files: int, tmp_path: Path) -> None:
    (line,) = re.findall(r"HEALTHCHECK .*\\\n +CMD (.*)", DOCKERFILE)
    _, *arguments = json.loads(line)
    authority = Authority()
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    (tmp_path / "tls.pem").write_bytes(b"".join(authority.issue()))
    given = {"MNIST_TLS_CERT": "tls.pem", "MNIST_TLS_CLIENT_CA": "ca.crt"}
    environment = {name: str(tmp_path / file) for name, file in list(given.items())[:files]}
    client = authority.client(tmp_path / "tls.pem")
    models = tiny_repository(tmp_path / "models", versions=(1,), champion=1)
    with serving(models, tmp_path / "log", environment=environment, tls=client) as service:
        known = environment | {"MNIST_PORT": str(service.port)}
        check = [sys.executable, *arguments]
        assert subprocess.run(check, env=known, timeout=30, check=False).returncode == 0
    gone = subprocess.run(check, env=known, timeout=30, check=False, stderr=subprocess.DEVNULL)
    assert gone.returncode == 1


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_service_of_compose_is_bounded_hardened_and_open_to_this_machine_alone(
    name: str,
) -> None:
    service = COMPOSE["services"][name]
    assert ":" in service["image"].rpartition("/")[2]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert all("size=" in scratch for scratch in service.get("tmpfs", []))
    for port in service.get("ports", []):
        assert port.startswith(("127.0.0.1:", "${MNIST_BIND:-127.0.0.1}:"))
    for volume in service["volumes"]:
        source = volume.partition(":")[0]
        assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
