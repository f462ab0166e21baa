"""A night: a hand comes that the champion reads badly, and the next day another version serves."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from service.models.repository import Repository
from service.types import Images, Labels
from tests.server import Server, serving, wait_until
from tests.training.feedback.conftest import train
from tests.training.feedback.test_learning import labelled
from training.cli.models import main

RAW = "application/octet-stream"
PATIENCE_S = 60.0
REQUEST = 10  # images


def ask(server: Server, images: Images, rounds: int = 1) -> str:
    """Asks for all images, a few at a time; returns the version that answered last."""
    version = ""
    for _ in range(rounds):
        for first in range(0, len(images), REQUEST):
            body = images[first : first + REQUEST].tobytes()
            version = server.post("/predict", body, RAW).json()["version"]
    return version


def label(server: Server, truth: dict[str, int]) -> int:
    """Labels all that is waiting for review and known; returns how many."""
    count = 0
    while True:
        items = server.get("/review?count=100").json()["items"]
        known = [item["id"] for item in items if item["id"] in truth]
        for image in known:
            body = json.dumps({"digit": truth.pop(image)}).encode()
            assert server.post(f"/review/{image}", body).status == 201
        count += len(known)
        if not known:
            return count


def named(images: Images, digits: Labels) -> dict[str, int]:
    pairs = zip(images, digits.tolist(), strict=True)
    return {sha256(image.tobytes()).hexdigest(): digit for image, digit in pairs}


def verdict(models: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["verdict", "--json", "--models", str(models)]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_a_night(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, digits, unseen, unseen_digits = labelled()
    with serving(
        models, tmp_path / "log", "--capture", "1.0", "--open", "predict,review"
    ) as server:
        # The day: the answers are captured, and a person labels what waits for review.
        assert ask(server, images, rounds=4) == "1"
        wait_until(lambda: server.get("/drift").json()["state"] == "drift", PATIENCE_S)
        wait_until(lambda: server.get("/review").json()["waiting"] == len(images), PATIENCE_S)
        assert label(server, named(images, digits)) == len(images)

        # The night: cron trains, as docs/operations.md says for those who let people decide.
        lines = train(models, "--feedback", "--no-promote")
        assert any("labelled images to learn" in line for line in lines)
        assert server.get("/models").json()["models"][0]["champion"] == "1"
        assert main(["challenge", "2", "--models", str(models)]) == 0

        # The next day: it reads in the shadow, and people label what the two disagree on.
        wait_until(lambda: server.get("/models/mnist/challenger").status == 200, PATIENCE_S)
        truth = named(unseen, unseen_digits)

        def decided() -> bool:
            assert ask(server, unseen[:700]) == "1"
            items = server.get("/review?count=100").json()["items"]
            differ = {i["id"] for i in items if i["reason"].startswith("versions disagree")}
            for image in differ & set(truth):
                body = json.dumps({"digit": truth.pop(image)}).encode()
                assert server.post(f"/review/{image}", body).status == 201
            capsys.readouterr()
            return bool(verdict(models, capsys)["verdict"] == "promote")

        wait_until(decided, 4 * PATIENCE_S)
        assert main(["verdict", "--promote", "--models", str(models)]) == 0
        wait_until(lambda: ask(server, unseen[:REQUEST]) == "2", PATIENCE_S)

        # The hand is no drift to the new champion.
        assert ask(server, unseen) == "2"
        found = server.get("/drift").json()
        assert found["answers"] >= 1000
        assert found["state"] == "steady", found
    journal = [entry["command"] for entry in Repository(models).journal()]
    assert journal[-3:] == ["models challenge", "models verdict", "models verdict"]
