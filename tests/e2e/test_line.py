"""All steps on real digits: train, serve, classify, evaluate, train again, stop."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.digits import Images, as_form, as_json, as_npy, as_picture
from tests.server import Server, serving, wait_until
from tests.training.digits import few, mnist, write_folder

RAW = "application/octet-stream"

pytestmark = pytest.mark.slow


TEST_IMAGES, TEST_LABELS = mnist().test_images, mnist().test_labels
TESTED = 200  # each also costs the run some pictures of what is no digit


def train(models: Path, *flags: str) -> float:
    """Trains a small network with the real command. Returns the accuracy that it prints."""
    small = ("--architecture", "mlp", "--epochs", "1", "--hidden-units", "32")
    done = subprocess.run(
        [sys.executable, "-m", "training", "--models", str(models), *small, *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "raceback" not in done.stderr
    printed = re.findall(r"^Test accuracy: (0\.\d{4})$", done.stdout, re.MULTILINE)
    assert len(printed) == 1, done.stdout
    return float(printed[0])


def classify(server: Server, images: Images) -> list[int]:
    answer = server.post("/predict", images.tobytes(), RAW)
    return [prediction["digit"] for prediction in answer.json()["predictions"]]


def champion(server: Server) -> str:
    return str(server.get("/models").json()["models"][0]["champion"])


def test_a_network_is_trained_served_evaluated_and_replaced(tmp_path: Path) -> None:
    models, digits = tmp_path / "models", write_folder(tmp_path / "digits", few(4000, TESTED))
    few_digits = ("--data", str(digits), "--epochs", "3")
    accuracy = train(models, *few_digits)
    assert accuracy > 0.8
    with serving(models, tmp_path / "log") as server:
        read = np.concatenate([classify(server, part) for part in np.split(TEST_IMAGES, 10)])
        right = np.mean(read[:TESTED] == TEST_LABELS[:TESTED])
        assert right == pytest.approx(accuracy, abs=0.00005)

        scores = server.request("POST", "/evaluate?dataset=mnist-test").json()
        assert scores["count"] == 10_000
        assert scores["accuracy"] == np.mean(read == TEST_LABELS)
        confusion = np.zeros((10, 10), int)
        np.add.at(confusion, (TEST_LABELS, read), 1)
        assert scores["confusion_matrix"] == confusion.tolist()

        card = server.get("/models/mnist/versions/1").json()
        assert card["test"]["accuracy"] == right

        one = TEST_IMAGES[:1]
        answers = [
            server.post("/predict", one.tobytes(), RAW),
            server.post("/predict", as_json(one)),
            server.post("/predict", as_npy(one), "application/x-npy"),
            server.post("/predict", as_picture(one[0]), "image/png"),
            server.post("/predict", *as_form(("files", "seven.png", as_picture(one[0])))),
        ]
        assert len({answer.body for answer in answers}) == 1
        (seven,) = answers[0].json()["predictions"]
        assert (seven["digit"], seven["doubtful"]) == (7, False)

        train(models, *few_digits, "--seed", "1", "--force")
        wait_until(lambda: champion(server) == "2")
        assert server.post("/predict", one.tobytes(), RAW).json()["version"] == "2"
        assert server.stop() == 0
