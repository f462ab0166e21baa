"""``models import`` publishes a model from elsewhere as a version, and never promotes it."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from service.inference.runtime import Runtime
from service.models.repository import Repository
from tests.tiny import tiny_repository
from tests.training.onnx_import import exported, hostile
from training.cli import models
from training.measure.robustness.corruptions import CORRUPTIONS


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "digits.npz"
    path.write_bytes(exported.few_digits(train=600))
    return path


def test_a_model_with_data_beside_it_becomes_a_version_that_serves(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, path = tmp_path / "models", tmp_path / "theirs.onnx"
    hostile.save_beside(exported.mlp(ink="dark on light", shape="1,28,28"), path, "theirs.data")
    assert models.main(["import", str(path), "--models", str(root), "--data", str(data)]) == 0
    out, error = capsys.readouterr()
    assert error == ""
    assert " forms: [1,28,28], 0..1, dark on light; output logits: logits" in out
    promote = f"models promote 1 --models {root}"
    assert out.endswith(f"version 1 published, not promoted; promote: {promote}\n")

    repository = Repository(root)
    card = repository.card(1)
    assert f"Test accuracy: {card['test']['accuracy']:.4f}" in out
    assert (card["architecture"], card["parameters"]) == ("imported", 101_770)
    imported = card["imported"]
    assert imported["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(imported["external_data"]) == ["theirs.data"]
    assert card["promotion"]["promoted"] is False
    assert set(card["robustness"]) > set(CORRUPTIONS)
    assert card["doubt"]["chosen_on"]["images"] == 600
    assert {kind["trained"] for kind in card["doubt"]["kinds"].values()} == {False}
    assert "kinds of digits: least accurate" in out
    assert not (repository.folder / "champion").exists()

    model, mnist = repository.read_model(1), exported.dataset()
    runtime = Runtime.load(model, provider="cpu")
    digits = runtime.run(mnist.test_images[:200]).argmax(axis=1)
    assert np.mean(digits == mnist.test_labels[:200]) == card["test"]["accuracy"]
    assert json.loads(runtime.metadata["imported"])["sha256"] == imported["sha256"]
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)

    assert models.main(promote.split()[1:]) == 0
    assert repository.champion() == 1
    assert models.main(["verify", "1", "--models", str(root), "--data", str(data)]) == 0


def test_a_terminal_shows_each_step_and_then_what_to_type_next(tmp_path: Path, data: Path) -> None:
    root = tiny_repository(tmp_path / "models")
    path = exported.written(tmp_path, exported.mlp("-1..1", answer="Softmax"))
    ours, terminal = pty.openpty()
    flags = ["--models", str(root), "--data", str(data), "--scale=-1..1"]
    command = [sys.executable, "-m", "training.cli.models", "import", str(path), *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=terminal, check=True)
    text = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", os.read(ours, 1 << 16).decode())
    steps = re.findall(r"(?:^|[\r\n])(\w+) ", text)
    assert list(dict.fromkeys(steps)) == ["load", "detect", "verify", "measure"]
    assert done.stdout.decode().splitlines()[-1] == (
        f"version 2 published, not promoted; compare: models diff 1 2 --models {root}; "
        f"promote: models promote 2 --models {root}"
    )
    repository = Repository(root)
    assert repository.card(2)["imported"]["found"]["scale"] == "-1..1"
    assert repository.card(2)["settings"] == {"scale": "-1..1"}
    assert repository.champion() == 1


def test_a_rejection_is_one_line_and_leaves_the_repository_as_it_was(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny_repository(tmp_path / "models")
    path = exported.written(tmp_path, hostile.with_external("../secret"))
    before = sorted(root.rglob("*"))
    line = ["import", str(path), "--data", str(data), "--models"]
    assert models.main([*line, str(root)]) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"models: theirs.onnx: external data '../secret': .* outside .*\n", error)
    assert sorted(root.rglob("*")) == before
    assert models.main([*line, str(tmp_path / "new")]) == 1
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("flags", ["--scale bright", "--scale 0,0", "--output x"])
def test_wrong_usage_ends_before_anything_is_read(flags: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        models.main(["import", "nothing.onnx", *flags.split()])
