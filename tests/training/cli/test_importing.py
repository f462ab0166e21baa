"""``models import`` publishes a stranger's model as a version, and never promotes it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from service.inference.runtime import Runtime
from service.models.repository import Repository
from tests.digits import as_npz
from tests.tiny import tiny_repository
from tests.training.onnx_import import hostile, strangers
from training.cli import models
from training.measure.robustness.corruptions import CORRUPTIONS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An ``.npz`` with few images."""
    mnist = strangers.dataset()
    path = tmp_path / "digits.npz"
    content = as_npz(
        x_train=mnist.train_images[20_000:20_600],
        y_train=mnist.train_labels[20_000:20_600],
        x_test=mnist.test_images[:200],
        y_test=mnist.test_labels[:200],
    )
    path.write_bytes(content)
    return path


def test_a_model_with_data_beside_it_becomes_a_version_that_serves(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, path = tmp_path / "models", tmp_path / "theirs.onnx"
    hostile.save_beside(strangers.mlp(strangers.dark, (1, 28, 28)), path, "theirs.data")
    assert models.main(["import", str(path), "--models", str(root), "--data", str(data)]) == 0
    told = capsys.readouterr().out
    assert "[1,28,28]  kept  0..1          dark on light" in told
    assert "chosen: [1,28,28], 0..1, dark on light; logits: logits; any batch at once" in told
    assert f"to make it champion: models promote 1 --models {root}\n" in told

    repository = Repository(root)
    card = repository.card(1)
    assert f"Test accuracy: {card['test']['accuracy']:.4f}" in told
    assert card["architecture"] == "imported"
    assert card["parameters"] == 784 * 128 + 128 + 128 * 10 + 10
    imported = card["imported"]
    assert imported["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(imported["external_data"]) == ["theirs.data"]
    assert card["promotion"]["promoted"] is False
    assert set(card["robustness"]) > set(CORRUPTIONS)
    assert 0.5 <= card["doubt"]["threshold"] <= 0.99
    assert card["doubt"]["chosen_on"]["images"] == 600
    assert not any(kind["trained"] for kind in card["doubt"]["kinds"].values())
    assert "kinds of digits: least accurate" in told
    assert not (repository.folder / "champion").exists()

    model = repository.read_model(1)
    runtime = Runtime.load(model, provider="cpu")
    images = strangers.dataset().test_images[:200]
    digits = runtime.run(images).argmax(axis=1)
    right = float(np.mean(digits == strangers.dataset().test_labels[:200]))
    assert right == card["test"]["accuracy"]
    story = json.loads(runtime.metadata["imported"])
    assert story["sha256"] == imported["sha256"]
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)

    assert models.main(["show", "1", "--models", str(root)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f"doubt.threshold {card['doubt']['threshold']}" in shown
    assert f"robustness.blur 1 pixel {card['robustness']['blur 1 pixel']}" in shown
    assert models.main(["promote", "1", "--models", str(root)]) == 0
    assert repository.champion() == 1
    assert models.main(["verify", "1", "--models", str(root), "--data", str(data)]) == 0


def test_what_was_found_is_there_as_json(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, path = tiny_repository(tmp_path / "models"), tmp_path / "theirs.onnx"
    path.write_bytes(strangers.mlp(strangers.centred, answer="Softmax").SerializeToString())
    line = ["import", str(path), "--models", str(root), "--data", str(data), "--json"]
    assert models.main([*line, "--scale=-1..1", "--layout", "flat"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["version"] == "2"
    assert report["imported"]["found"]["scale"] == "-1..1"
    assert report["settings"] == {"layout": "flat", "scale": "-1..1"}
    assert Repository(root).champion() == 1


def test_a_refusal_is_one_line_and_leaves_the_repository_as_it_was(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, path = tiny_repository(tmp_path / "models"), tmp_path / "theirs.onnx"
    path.write_bytes(hostile.with_external("../secret").SerializeToString())
    before = sorted(root.rglob("*"))
    assert models.main(["import", str(path), "--models", str(root), "--data", str(data)]) == 1
    out, error = capsys.readouterr()
    told = "external data '../secret' is not in the folder of the model"
    assert (out, error) == ("", f"models: theirs.onnx: {told}\n")
    assert sorted(root.rglob("*")) == before
    assert models.main(["import", str(path), "--models", str(tmp_path / "new")]) == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "flags", [["--scale", "bright"], ["--layout", "CHWN"], ["--answer", "yes"], []], ids=str
)
def test_wrong_usage_is_told_before_anything_is_read(flags: list[str]) -> None:
    file = ["nothing.onnx"] if flags else []
    with pytest.raises(SystemExit) as caught:
        models.main(["import", *file, *flags])
    assert caught.value.code == 2
