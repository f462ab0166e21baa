"""Both forms of the service on Ray, on a real cluster of two nodes and a head."""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import os
import secrets
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
from tests.service.decode.samples import digits
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
    with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request("POST", "/predict", BODY, HEADERS)
        version: str = json.loads(connection.getresponse().read())["version"]
    return version


def answers(address: str) -> bool:
    try:
        return version_of(address) == "1"
    except (OSError, ValueError, KeyError):  # not yet
        return False


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


@pytest.mark.campaign
@pytest.mark.alone
def test_ray_deploys_the_configuration_of_the_rayservice(models: Path, tmp_path: Path) -> None:
    """`serve deploy` sends a running cluster what KubeRay would send it."""
    pytest.importorskip("ray")
    port, dashboard, config = free_port(), free_port(), tmp_path / "config.yaml"
    content = yaml.safe_load(MANIFEST["spec"]["serveConfigV2"])
    content |= {"proxy_location": "HeadOnly", "http_options": {"host": "127.0.0.1", "port": port}}
    config.write_text(yaml.safe_dump(content))
    # This dashboard asks for a token even where nothing else of the cluster does.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
    environment = os.environ | ENVIRONMENT | token | {"MNIST_MODELS": str(models)}
    start = f"import ray; ray.init(num_cpus=4, dashboard_port={dashboard}, include_dashboard=True)"
    head = subprocess.Popen(
        [sys.executable, "-c", f"{start}; print('up', flush=True); input()"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with head:
        assert head.stdout
        while "up" not in head.stdout.readline():
            assert head.poll() is None
        command = [sys.executable, "-m", "ray.serve.scripts", "deploy", str(config)]
        place = ["--address", f"http://127.0.0.1:{dashboard}"]
        subprocess.run([*command, *place], env=environment, check=True)
        eventually(lambda: answers(f"127.0.0.1:{port}"), 60)
        head.communicate("\n")


@pytest.fixture
def two_nodes(models: Path) -> Iterator[tuple[Any, list[Any]]]:
    pytest.importorskip("ray")
    with cluster(ENVIRONMENT | {"MNIST_MODELS": str(models)}) as running:
        yield running


class OwnDoors:
    """``fleet.py`` on a cluster, as an operator calls it."""

    def __init__(self, address: str, models: Path, listed: Path) -> None:
        self._address, self._models, self._listed = address, models, listed

    def where(self) -> list[str]:
        return self._listed.read_text().split() if self._listed.exists() else []

    def call(self, *words: str) -> str:
        place = ("--address", self._address)
        command = [sys.executable, str(FOLDER / "fleet.py"), words[0], *place, *words[1:]]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

    def scale(self, least: int, most: int | None = None) -> None:
        few = ("--least", str(least), "--most", str(most or least), "--file", str(self._listed))
        self.call("up", *few, "--", "--models", str(self._models))
        eventually(lambda: least <= len(self.where()) <= (most or least), 90)


class OnServe:
    """``digits.py`` on Ray Serve."""

    def __init__(self) -> None:
        self._serve: Any = pytest.importorskip("ray.serve")
        self._port = free_port()
        http = {"host": "127.0.0.1", "port": self._port, "location": "HeadOnly"}
        self._serve.start(http_options=http)

    def where(self) -> list[str]:
        return [f"127.0.0.1:{self._port}"]

    def scale(self, count: int) -> None:
        digits = load("digits").Digits.options(num_replicas=count, autoscaling_config=None)
        self._serve.run(digits.bind(), name="mnist", route_prefix="/", _local_testing_mode=False)
        eventually(lambda: self.states() == {"RUNNING": count}, 90)

    def states(self) -> dict[str, int]:
        found = self._serve.status().applications["mnist"].deployments["Digits"].replica_states
        return {str(getattr(state, "value", state)): count for state, count in found.items()}


def scale_under_load(service: OwnDoors | OnServe, steady: Load, models: Path) -> None:
    """From one replica to three, back, and to three; then a new champion: no request fails."""
    service.scale(3)
    time.sleep(2)
    service.scale(1)
    time.sleep(3)
    assert steady.failures == []
    service.scale(3)
    make_champion(models, 2)
    # Ray Serve has one address for all its replicas: many answers tell of all.
    asked = service.where() * (60 if isinstance(service, OnServe) else 1)
    took = eventually(lambda: {version_of(each) for each in asked} == {"2"}, 10)
    print(f"all replicas have the new champion after {took:.1f} s")
    assert steady.failures == []


@pytest.mark.campaign
@pytest.mark.alone  # two clusters on one machine find each other
@pytest.mark.filterwarnings("ignore")
def test_a_fleet_scales_heals_and_follows_the_champion_under_load(
    two_nodes: tuple[Any, list[Any]], models: Path, tmp_path: Path
) -> None:
    ray: Any = pytest.importorskip("ray")
    running, nodes = two_nodes
    fleet = OwnDoors(running.address, models, tmp_path / "addresses")
    fleet.scale(1)
    with Load(fleet.where) as steady:
        scale_under_load(fleet, steady, models)
        ray.init(running.address, namespace="mnist", log_to_driver=False)
        before = fleet.where()
        ray.kill(ray.get_actor("mnist-fleet"), no_restart=False)
        replicas = ray.get(ray.get_actor("mnist-fleet").replicas.remote(), timeout=30)
        assert fleet.where() == before  # a fleet that starts again goes on with its replicas
        _, service = ray.get(replicas[0].processes.remote())
        assert steady.failures == []
        os.kill(service, signal.SIGKILL)
        eventually(lambda: len(fleet.where()) < 3 or fleet.where() != before, 30)
        healed = eventually(lambda: len(fleet.where()) == 3, 90)
        assert len(steady.failures) <= 4  # what each caller had sent to it
        steady.failures.clear()
        running.remove_node(nodes[1], allow_graceful=False)
        moved = eventually(lambda: len(fleet.where()) == 2, 120)  # a node has two cores
        assert len(steady.failures) <= 8  # two replicas may have been there
        steady.failures.clear()
        time.sleep(2)
        assert steady.failures == []
    print(f"replica {healed:.1f} s, node {moved:.1f} s: {steady.versions}")
    assert fleet.call("addresses").split() == fleet.where()
    fleet.call("down")
    assert fleet.where() == []


@pytest.mark.campaign
@pytest.mark.alone
@pytest.mark.filterwarnings("ignore")
def test_a_fleet_grows_while_requests_wait_and_shrinks_when_they_do_not(
    two_nodes: tuple[Any, list[Any]], models: Path, tmp_path: Path
) -> None:
    fleet = OwnDoors(two_nodes[0].address, models, tmp_path / "addresses")
    fleet.scale(1, 3)
    large = digits()[:1].tobytes() * 512
    with Load(fleet.where, callers=24, body=large, pause=0) as waiting:
        grown = eventually(lambda: len(fleet.where()) > 1, 90)
    with Load(fleet.where) as steady:
        shrunk = eventually(lambda: len(fleet.where()) == 1, 90)
    print(f"grown after {grown:.0f} s, shrunk after {shrunk:.0f} s")
    assert waiting.failures == []
    assert steady.failures == []
    fleet.call("down")


@pytest.mark.campaign
@pytest.mark.alone
@pytest.mark.filterwarnings("ignore")
def test_the_application_scales_heals_and_follows_the_champion_under_load(
    two_nodes: tuple[Any, list[Any]], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray: Any = pytest.importorskip("ray")
    running, nodes = two_nodes
    ray.init(running.address, log_to_driver=False)
    monkeypatch.syspath_prepend(str(FOLDER))
    service = OnServe()
    service.scale(1)
    with Load(service.where) as steady:
        scale_under_load(service, steady, models)
        names = ray.util.list_named_actors(all_namespaces=True)
        replica = next(each for each in names if "mnist#Digits" in each["name"])
        ray.kill(ray.get_actor(replica["name"], namespace=replica["namespace"]))
        eventually(lambda: service.states() != {"RUNNING": 3}, 60)
        eventually(lambda: service.states() == {"RUNNING": 3}, 90)
        assert len(steady.failures) <= 8
        steady.failures.clear()
        running.remove_node(nodes[1], allow_graceful=False)
        eventually(lambda: service.states().get("RUNNING", 0) < 3, 60)
        eventually(lambda: service.states().get("RUNNING") == 2, 120)
        time.sleep(2)
        print(f"{len(steady.failures)} requests failed while replicas moved off a killed node")
        steady.failures.clear()
        time.sleep(3)
        assert steady.failures == []
    pytest.importorskip("ray.serve").shutdown()
