"""Both forms of the service on Ray, on a real cluster of two nodes and a head."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.cluster import BODY, HEADERS, Load, cluster, eventually
from tests.deploy.definitions import validate_custom
from tests.server import free_port
from tests.tiny import tiny_repository

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/ray"
MANIFEST = yaml.safe_load((FOLDER / "rayservice.yaml").read_text())
ENVIRONMENT = {
    "PYTHONPATH": f"{ROOT}{os.pathsep}{FOLDER}",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def load(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def version_of(address: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("POST", "/predict", BODY, HEADERS)
    version: str = json.loads(connection.getresponse().read())["version"]
    connection.close()
    return version


def make_champion(models: Path, version: int) -> None:
    staged = models / "mnist" / ".champion"
    staged.write_text(f"{version}\n")
    staged.replace(models / "mnist" / "champion")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tiny_repository(tmp_path / "models", versions=(1, 2), champion=1)


def test_kuberay_knows_every_field_of_the_rayservice() -> None:
    validate_custom(MANIFEST)
    pods = MANIFEST["spec"]["rayClusterConfig"]
    for group in (pods["headGroupSpec"], *pods["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert container["securityContext"]["runAsNonRoot"]
        assert container["image"].startswith("mnist-serve-ray:")
    (application,) = yaml.safe_load(MANIFEST["spec"]["serveConfigV2"])["applications"]
    assert application["import_path"] == "digits:app"


@pytest.mark.campaign
@pytest.mark.alone  # two clusters on one machine find each other
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_ray_builds_the_configuration_of_the_rayservice(tmp_path: Path) -> None:
    """`serve build` of Ray prints the deployment that the manifest holds, but for its size."""
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "ray.serve.scripts", "build", "--app-dir", str(FOLDER)]
    out = tmp_path / "config.yaml"
    environment = os.environ | ENVIRONMENT
    subprocess.run([*command, "digits:app", "-o", str(out)], env=environment, check=True)
    (built,) = yaml.safe_load(out.read_text())["applications"][0]["deployments"]
    (application,) = yaml.safe_load(MANIFEST["spec"]["serveConfigV2"])["applications"]
    (written,) = application["deployments"]
    scaling, other = written.pop("autoscaling_config"), built.pop("autoscaling_config")
    assert {name: built[name] for name in written} == written
    same = [name for name in scaling if "replicas" not in name]
    assert [scaling[name] for name in same] == [other[name] for name in same]


@pytest.fixture
def two_nodes(models: Path) -> Iterator[tuple[Any, list[Any]]]:
    pytest.importorskip("ray")
    with cluster(ENVIRONMENT | {"MNIST_MODELS": str(models)}) as running:
        yield running


@pytest.mark.campaign
@pytest.mark.alone  # two clusters on one machine find each other
@pytest.mark.filterwarnings("ignore")
def test_a_fleet_scales_heals_and_follows_the_champion_under_load(
    two_nodes: tuple[Any, list[Any]], models: Path, tmp_path: Path
) -> None:
    ray: Any = pytest.importorskip("ray")
    running, nodes = two_nodes
    listed = tmp_path / "addresses"

    def where() -> list[str]:
        return listed.read_text().split() if listed.exists() else []

    def fleet(*words: str) -> str:
        place = ("--address", running.address)
        command = [sys.executable, FOLDER / "fleet.py", words[0], *place, *words[1:]]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def scale(count: int) -> None:
        few = ("--least", str(count), "--most", str(count), "--file", str(listed))
        fleet("up", *few, "--", "--models", str(models))
        eventually(lambda: len(where()) == count, 90)

    scale(1)
    with Load(where) as steady:
        scale(3)
        time.sleep(2)
        scale(1)
        time.sleep(3)
        assert steady.failures == []
        scale(3)
        make_champion(models, 2)
        took = eventually(lambda: {version_of(each) for each in where()} == {"2"}, 10)
        assert steady.failures == []
        ray.init(running.address, namespace="mnist", log_to_driver=False)
        replicas = ray.get(ray.get_actor("mnist-fleet").replicas.remote())
        _, service = ray.get(replicas[0].processes.remote())
        before = where()
        os.kill(service, signal.SIGKILL)
        eventually(lambda: len(where()) < 3 or where() != before, 30)
        healed = eventually(lambda: len(where()) == 3, 90)
        assert len(steady.failures) <= 4  # what each caller had sent to it
        steady.failures.clear()
        running.remove_node(nodes[1], allow_graceful=False)
        moved = eventually(lambda: len(where()) == 2, 120)
        assert len(steady.failures) <= 4
        steady.failures.clear()
        time.sleep(2)
        assert steady.failures == []
    print(f"champion {took:.1f} s, replica {healed:.1f} s, node {moved:.1f} s: {steady.versions}")
    assert fleet("addresses").split() == where()
    fleet("down")
    ray.shutdown()
    assert where() == []


@pytest.mark.campaign
@pytest.mark.alone  # two clusters on one machine find each other
@pytest.mark.filterwarnings("ignore")
def test_the_application_scales_heals_and_follows_the_champion_under_load(
    two_nodes: tuple[Any, list[Any]], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray: Any = pytest.importorskip("ray")
    serve: Any = pytest.importorskip("ray.serve")
    running, nodes = two_nodes
    port = free_port()
    ray.init(running.address, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port, "location": "HeadOnly"})
    monkeypatch.syspath_prepend(str(FOLDER))
    digits = load("digits")

    def scale(count: int) -> None:
        fixed = digits.Digits.options(num_replicas=count, autoscaling_config=None)
        serve.run(fixed.bind(), name="mnist", route_prefix="/", _local_testing_mode=False)
        eventually(lambda: states()[1] == {"RUNNING": count}, 90)

    def states() -> tuple[str, dict[str, int]]:
        status = serve.status().applications["mnist"]
        found = status.deployments["Digits"].replica_states
        return str(status.status), {str(getattr(k, "value", k)): v for k, v in found.items()}

    scale(1)
    with Load(lambda: [f"127.0.0.1:{port}"]) as steady:
        scale(3)
        time.sleep(2)
        scale(1)
        time.sleep(3)
        assert steady.failures == []
        scale(3)
        make_champion(models, 2)
        began = time.monotonic()
        time.sleep(4)
        seen = {version_of(f"127.0.0.1:{port}") for _ in range(60)}
        assert seen == {"2"}, time.monotonic() - began
        assert steady.failures == []
        names = ray.util.list_named_actors(all_namespaces=True)
        replica = next(each for each in names if "mnist#Digits" in each["name"])
        ray.kill(ray.get_actor(replica["name"], namespace=replica["namespace"]))
        eventually(lambda: states()[1] != {"RUNNING": 3}, 60)
        eventually(lambda: states()[1] == {"RUNNING": 3}, 90)
        assert len(steady.failures) <= 8
        steady.failures.clear()
        running.remove_node(nodes[1], allow_graceful=False)
        eventually(lambda: states()[1].get("RUNNING", 0) < 3, 60)
        eventually(lambda: states()[1].get("RUNNING") == 2, 120)
        time.sleep(2)
        steady.failures.clear()
        time.sleep(3)
        assert steady.failures == []
    serve.shutdown()
    ray.shutdown()
