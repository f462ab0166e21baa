"""``train`` beside the running service: the better network takes over and no request is lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from service.inference.runtime import Runtime
from service.models.repository import Repository
from tests.e2e.test_line import TEST_IMAGES, train
from tests.e2e.test_workers import children
from tests.server import serving, wait_until
from tests.steady import Kind, Steady, post

pytestmark = pytest.mark.campaign


def test_the_service_loads_a_better_network_while_it_answers(
    tmp_path: Path,
) -> None:
    models = tmp_path / "models"
    train(models, "--hidden-units", "8")
    images = TEST_IMAGES[:8]
    given: set[tuple[str, bytes]] = set()

    def read(head: bytes, body: bytes) -> str:
        answer = json.loads(body)
        probabilities = [each["probabilities"] for each in answer["predictions"]]
        given.add((answer["version"], np.array(probabilities, np.float32).tobytes()))
        return str(answer["version"])

    kind = Kind(post("/predict", images.tobytes(), "application/octet-stream"), read)
    with serving(models, tmp_path / "log", "--workers", "2") as server:
        wait_until(lambda: server.metric("mnist_workers") == 2, 60)
        workers = children(server)
        load = Steady(server.host, server.port, [kind], rate=50, connections=8)

        async def work() -> None:
            running = asyncio.create_task(load.run())
            await asyncio.to_thread(train, models, "--epochs", "2", "--hidden-units", "64")
            async with asyncio.timeout(10):
                while {each.version for each in load.asked[-50:]} != {"2"}:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            load.stopped = True
            await running

        asyncio.run(work())
        assert children(server) == workers
    assert [each.fault for each in load.asked if each.fault] == []
    repository = Repository(models)
    assert {version for version, _ in given} == {"1", "2"}
    for version, probabilities in given:
        runtime = Runtime.load(repository.read_model(int(version)), provider="cpu")
        expected = runtime.run(images)
        found = np.frombuffer(probabilities, np.float32).reshape(expected.shape)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert repository.card(2)["promotion"]["promoted"] is True
    assert repository.card(2)["test"]["accuracy"] > repository.card(1)["test"]["accuracy"]
    assert [entry["version"] for entry in repository.journal()] == ["1", "2"]
