"""The ``train`` command in a process of its own, on a few real digits."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import onnx
import pytest

from service.inference.runtime import Runtime
from service.models.repository import Repository
from tests.training.digits import NAMES, few, python, train_here, write_folder
from training.registry.operations import verify as prove_again

STAGES = (
    *("data", "model", "fit", "evaluate", "export", "verify", "Test", "measure", "publish"),
    *("promote", "next"),
)
SMALL = ("--architecture", "mlp", "--hidden-units", "16", "--epochs", "3")
SMALL_INT8 = """
architecture = "valid_cnn"
filters = [16, 32]
weights = "int8"
learning_rate = 0.004
batch_size = 64
epochs = 6
"""


def start(*words: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "training", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


train = partial(python, "-m", "training")


def published(models: Path) -> list[str]:
    """Everything in the repository, hidden folders too."""
    folder = models / "mnist"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "digits", few(2000, 300), zipped=True)


@pytest.fixture(scope="module")
def ran(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """The lines of a run, and the repository that it wrote."""
    models = tmp_path_factory.mktemp("repository") / "models"
    status, lines, err = train(*SMALL, "--data", digits, "--models", models)
    assert (status, err) == (0, "")
    return lines, models


def right_of_300(models: Path) -> int:
    """How many test images version 1 classifies correctly, counted here by hand."""
    runtime = Runtime.load(models / "mnist" / "1" / "model.onnx", provider="cpu")
    test = few(2000, 300)
    return int((runtime.run(test.test_images).argmax(axis=1) == test.test_labels).sum())


def test_it_prints_every_stage_in_order_and_the_accuracy_of_the_published_file(
    ran: tuple[list[str], Path],
) -> None:
    lines, models = ran
    words = [line.split()[0] for line in lines]
    assert tuple(dict.fromkeys(words)) == STAGES
    assert words.count("fit") == 3 + 1
    assert "1,800 training, 200 validation and 300 test images" in lines[0]
    right = right_of_300(models)
    assert lines[words.index("Test")] == f"Test accuracy: {right / 300:.4f}"
    assert right / 300 > 0.6


def test_it_publishes_a_whole_version_and_makes_it_champion(ran: tuple[list[str], Path]) -> None:
    _, models = ran
    assert published(models) == ["1", "champion", "journal.jsonl"]
    assert Repository(models).champion() == 1
    files = sorted(path.name for path in (models / "mnist" / "1").iterdir())
    assert files == [
        *("card.json", "confusion_matrix.png", "model.onnx"),
        *("training_curve.png", "worst_mistakes.png"),
    ]


def test_the_card_and_the_file_describe_the_run(ran: tuple[list[str], Path]) -> None:
    _, models = ran
    card = Repository(models).card(1)
    assert card["settings"]["hidden_units"] == [16]
    assert card["training"]["recipe"] == "tutorial"
    assert 0.25 <= card["training"]["temperature"] <= 4
    assert [epoch["epoch"] for epoch in card["training"]["epochs"]] == [1, 2, 3]
    assert card["data"]["training_images"] == 1800
    assert card["data"]["files"].keys() == {f"{name}.gz" for name in NAMES.values()}
    assert (card["validation"]["count"], card["test"]["count"]) == (200, 300)
    assert card["verification"]["passed"] is True
    assert card["promotion"]["promoted"] is True
    assert card["robustness"]["blur 1 pixel"] > 0.3
    assert 0.5 <= card["doubt"]["threshold"] <= 0.99
    model = onnx.load(models / "mnist" / "1" / "model.onnx")
    story = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(story["settings"]) == card["settings"]


@pytest.mark.slow
def test_the_int8_file_is_the_one_that_is_verified_measured_and_published(
    digits: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "small.toml"
    recipe.write_text(SMALL_INT8)
    models = tmp_path / "models"
    status, lines, err = train_here("--recipe", recipe, "--data", digits, "--models", models)
    assert (status, err) == (0, "")
    words = [line.split()[0] for line in lines]
    assert words[words.index("export") :] == [
        *("export", "verify", "quantize", "verify", "Test", "measure", "publish", "promote", "next")
    ]
    card, path = Repository(models).card(1), models / "mnist" / "1" / "model.onnx"
    right = right_of_300(models)
    assert f"Test accuracy: {right / 300:.4f}" in lines
    assert card["test"]["accuracy"] == card["verification"]["accuracy"] == right / 300
    assert card["verification"]["parent"]["passed"] is True
    weights = {entry.data_type for entry in onnx.load(path).graph.initializer if entry.dims}
    assert onnx.TensorProto.INT8 in weights
    assert prove_again(Repository(models), 1, digits)["passed"]


@pytest.mark.slow
def test_a_second_run_is_a_second_version_and_a_worse_one_is_not_promoted(
    ran: tuple[list[str], Path], digits: Path
) -> None:
    _, models = ran
    worse = (*SMALL, "--learning-rate", "0.00001", "--data", digits, "--models", models)
    lines = train_here(*worse)[1]
    assert "version 2 is not the champion: not shown not to be worse than champion 1: " in lines[-2]
    assert "version 2 is published, not promoted; compare: models diff 1 2" in lines[-1]
    assert Repository(models).champion() == 1
    assert Repository(models).card(2)["promotion"]["promoted"] is False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status", "name"),
    [pytest.param(2, 130, "Ctrl-C", marks=pytest.mark.campaign), (15, 143, "SIGTERM")],
)
def test_a_signal_ends_it_with_one_line_and_nothing_published(
    number: int, status: int, name: str, digits: Path, tmp_path: Path
) -> None:
    process = start("--epochs", "1000", "--data", digits, "--models", tmp_path)
    assert process.stdout
    while not process.stdout.readline().startswith("model"):
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    resume = "; the same command with --resume continues after epoch "  # if one ended before
    told = re.fullmatch(f"train: stopped by {name}; nothing was published({resume}[0-9]+)?\n", err)
    assert told, err
    assert published(tmp_path) == ([".checkpoints"] if told[1] else [])


@pytest.mark.campaign
def test_the_recipe_tutorial_reaches_its_accuracy_on_all_of_mnist(tmp_path: Path) -> None:
    status, lines, err = train("--architecture", "mlp", "--models", tmp_path)
    assert (status, err) == (0, "")
    accuracy = next(line for line in lines if line.startswith("Test accuracy: ")).split()[-1]
    assert float(accuracy) >= 0.975


def test_a_repository_that_cannot_be_written_is_an_error_before_training(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file in the way")
    began = time.monotonic()
    status, lines, err = train("--models", tmp_path / "models")
    assert (status, len(lines), err.count("\n")) == (1, 1, 1)
    assert str(tmp_path / "models") in err
    assert time.monotonic() - began < 60


def test_help_and_wrong_usage_answer_without_tensorflow() -> None:
    check = (
        "import sys; from training.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(*{'tensorflow', 'keras', 'onnx', 'matplotlib'} & set(sys.modules))"
    )
    for word, status in (("--help", 0), ("--epochs=0", 2)):
        returned, lines, _ = python("-c", check, word)
        assert (returned, lines[-1]) == (status, "")


def test_without_tensorflow_it_says_what_to_install_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(('tensorflow', 'keras', 'onnxruntime'))\n"
        "from training.__main__ import main; sys.exit(main([]))"
    )
    sources = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    status, lines, err = python("-c", code, cwd=tmp_path, env=sources)
    assert (status, lines) == (1, [])
    assert err == (
        "train: not installed: tensorflow, keras, onnxruntime; training needs "
        "pip install 'mnist-serve[train]', or make train in a clone\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_closed_output_ends_it_without_a_traceback(digits: Path, tmp_path: Path) -> None:
    process = start("--data", digits, "--models", tmp_path)
    assert process.stdout
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate()
    assert (process.returncode, err) == (1, "train: stopped: the output was closed\n")
