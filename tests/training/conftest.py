"""Versions to look after, published once and copied for each test that changes them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.models.repository import Repository
from tests.tiny import dense_model_bytes
from tests.training.digits import mnist
from training.cli.models import main
from training.data import loading, synthetic
from training.export.verify import check
from training.measure.card import describe
from training.registry.promote import release
from training.registry.publish import staging


@pytest.fixture(scope="session")
def digits() -> loading.Dataset:
    return mnist()


@pytest.fixture(scope="module")
def few_drawings() -> Iterator[None]:
    """A fit draws 200 written digits instead of 10,000, which takes 8 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "written_digits", partial(synthetic.written_digits, count=200))
        yield


@pytest.fixture(scope="session")
def published(digits: loading.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three linear classifiers, fitted in one step to ever more digits, each better; kept as is."""
    root = tmp_path_factory.mktemp("published") / "models"
    for count in (300, 1000, 3000):
        model = linear_classifier(digits, count)
        with staging(root) as folder:
            (folder / "model.onnx").write_bytes(model)
            test = digits.test_images, digits.test_labels
            release(folder, root, honest_card(model, digits), test)
    assert Repository(root).champion() == 3
    return root


@pytest.fixture
def root(published: Path, tmp_path: Path) -> Path:
    """A copy of the three that a test may change."""
    subprocess.run(["cp", "-r", published, tmp_path / "models"], check=True)
    return tmp_path / "models"


def linear_classifier(digits: loading.Dataset, count: int) -> bytes:
    """Ridge regression on the one-hot labels of the first ``count`` training images."""
    pixels = digits.train_images[:count].reshape(count, 784) / 255
    inputs = np.concatenate([pixels, np.ones((count, 1))], axis=1)
    wanted = np.eye(10)[digits.train_labels[:count]]
    weights = 8 * np.linalg.solve(inputs.T @ inputs + 5 * np.eye(785), inputs.T @ wanted)
    return dense_model_bytes(weights[:784].astype(np.float32), weights[784].astype(np.float32))


def honest_card(model: bytes, digits: loading.Dataset) -> dict[str, Any]:
    right = check(model, digits.test_images).argmax(axis=1) == digits.test_labels
    return describe(
        architecture="linear",
        parameters=7850,
        opset=18,
        ir_version=8,
        data={"files": digits.hashes},
        settings={"ridge": 5},
        training={"epochs": []},
        validation=None,
        test={"count": len(right), "accuracy": float(right.mean())},
        verification={"passed": True, "milliseconds_per_run": {"1": 0.0123}},
    )


class Said:
    """Runs the ``models`` command in this process on one repository."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.capsys = root, capsys

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """Returns the output; fails if the status is another or a failure is not one line."""
        assert main([*arguments, "--models", str(self.root)]) == status
        out, err = self.capsys.readouterr()
        assert err.count("\n") == (1 if status else 0)
        assert err.startswith("models: ") == bool(status)
        return out + err

    def json(self, *arguments: str) -> Any:
        """Returns the JSON on standard output."""
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def models(root: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    return Said(root, capsys)
