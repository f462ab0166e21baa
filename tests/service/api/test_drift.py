"""``GET /drift`` of the running service, with one worker and with two."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.drift.evidence import THRESHOLD
from service.types import Images, Labels
from tests.server import EVERYTHING, Server, serving, wait_until
from tests.service.drift.simulate import VERSION, images
from tests.service.imaging.champion import MODELS

RAW = "application/octet-stream"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("drift")
    with serving(copied(folder), folder / "log", "--workers", "2", *EVERYTHING) as running:
        yield running


def copied(folder: Path) -> Path:
    """A repository with the champion alone, in which the service may write."""
    root = folder / "models"
    shutil.copytree(MODELS / "mnist" / str(VERSION), root / "mnist" / str(VERSION))
    (root / "mnist" / "champion").write_text(f"{VERSION}\n")
    return root


def shuffled(kind: str) -> tuple[Images, Labels]:
    """Images in a random order: in the file, the writers of the first half are easier to read."""
    pictures, labels = images(kind)
    order = np.random.default_rng(1).permutation(len(labels))
    return pictures[order], labels[order]


def send(server: Server, pictures: Images, rows: int = 50) -> None:
    for first in range(0, len(pictures), rows):
        body = pictures[first : first + rows].tobytes()
        assert server.post("/predict", body, RAW).status == 200


@pytest.mark.slow
def test_it_tells_of_steady_traffic_then_of_drift_whichever_worker_answers(two: Server) -> None:
    assert two.get("/drift").json()["state"] == "too few"
    digits, labels = shuffled("test")
    send(two, digits[:1000])
    told = two.get("/drift").json()
    assert told["state"] == "steady", told
    assert 500 <= told["answers"] <= 1000
    assert told["alarms"] == []
    true = np.bincount(labels[:1000], minlength=10) / 1000
    assert np.abs(np.array(told["shares"]) - true).max() < 0.05
    assert told["accuracy"] == {
        "estimate": pytest.approx(0.997, abs=0.005),
        "low": None,
        "high": None,
        "labelled": 0,
    }

    eroded, _ = shuffled("erosion 2x2")
    send(two, eroded[:2000])
    answers = {json.dumps(two.get("/drift").json(), sort_keys=True) for _ in range(10)}
    assert len({json.dumps(json.loads(each)["alarms"]) for each in answers}) == 1
    told = json.loads(answers.pop())
    assert told["state"] == "drift"
    assert told["alarms"][0]["kind"] == "appearance"
    assert told["alarms"][0]["score"] > told["alarms"][0]["threshold"] == THRESHOLD
    assert all(len(example) > 5 for example in told["alarms"][0]["examples"])
    metrics = two.get("/metrics").body.decode()
    assert 'mnist_drift_alarms_total{kind="appearance"}' in metrics
    score = metrics.partition('mnist_drift_score{kind="appearance"} ')[2].partition("\n")[0]
    assert float(score) > THRESHOLD
    assert "drift of appearance" in two.stderr()


def test_a_champion_without_a_reference_is_named(server: Server) -> None:
    answer = server.get("/drift")
    assert answer.status == 404
    assert "version 1 has no reference" in answer.json()["detail"]


@pytest.mark.slow
def test_what_reviewers_said_narrows_the_accuracy(tmp_path: Path) -> None:
    """Captured, reviewed by their true labels, and told with an interval."""
    pictures, labels = images("test")
    known = {bytes(image): int(label) for image, label in zip(pictures, labels, strict=True)}
    models, flags = copied(tmp_path), ("--capture", "1", *EVERYTHING)
    with serving(models, tmp_path / "log", *flags) as server:
        send(server, shuffled("test")[0][:300])
        wait_until(lambda: len(server.get("/review?count=40").json()["items"]) == 40, 20)
        items = server.get("/review?count=40").json()["items"]
        assert server.get("/drift").json()["accuracy"]["labelled"] == 0
        for item in items:
            seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(item["png"]))))
            said = json.dumps({"digit": known[seen.tobytes()]}).encode()
            assert server.post(f"/review/{item['id']}", said).status == 201
        told = server.get("/drift").json()["accuracy"]
        assert told["labelled"] == len(items) == 40
        assert 0.95 < told["low"] < told["estimate"] < told["high"] <= 1
        assert server.metric("mnist_accuracy", bound="low") == pytest.approx(told["low"])
