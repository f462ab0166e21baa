"""``train --seeds`` and ``train --search`` in processes of their own, on a few real digits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from functools import partial
from pathlib import Path

import pytest

from service.models.repository import Repository
from tests.training.digits import few, python, write_folder
from training.config import Config

ROOT = Path(__file__).parents[3]
SMALL = ("--architecture", "mlp", "--hidden-units", "16", "--epochs", "2")
train = partial(python, "-m", "training")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "digits", few(2000, 300), zipped=True)


def content(models: Path, version: int) -> bytes:
    """The weights: the file without the times in its description."""
    import onnx

    model = onnx.load(models / "mnist" / str(version) / "model.onnx")
    return b"".join(each.SerializeToString() for each in model.graph.initializer)


def by_seed(models: Path) -> dict[int, int]:
    repository = Repository(models)
    cards = {version: repository.card(version) for version in repository.versions()}
    return {card["settings"]["seed"]: version for version, card in cards.items()}


def test_each_seed_is_to_the_bit_what_it_is_alone_and_the_best_goes_to_the_gate(
    digits: Path, tmp_path: Path
) -> None:
    alone, models = tmp_path / "alone", tmp_path / "models"
    words = (*SMALL, "--data", digits)
    assert train(*words, "--models", alone, "--seed", 1)[0] == 0
    status, lines, err = train(*words, "--models", models, "--seeds", "0..2")
    assert (status, err) == (0, ""), lines
    versions = by_seed(models)
    assert sorted(versions) == [0, 1, 2]
    assert content(models, versions[1]) == content(alone, 1)
    assert content(models, versions[0]) != content(alone, 1)
    repository = Repository(models)
    losses = {v: repository.card(v)["validation"]["loss"] for v in versions.values()}
    best = min(losses, key=lambda version: losses[version])
    assert repository.champion() == best
    assert lines[-2].startswith(f"promote   version {best} is the champion")
    assert sum(line.startswith("seed 2") for line in lines) > 5
    again = train(*words, "--models", models, "--seeds", "0..2")
    assert again[0] == 0
    assert by_seed(models) == versions
    assert len(again[1]) == 3 + 2
    assert not (models / "mnist" / ".checkpoints").exists()


def test_a_killed_worker_is_started_again_and_a_failure_ends_all(
    digits: Path, tmp_path: Path
) -> None:
    """With the same weights as a run that was not killed."""
    alone, models = tmp_path / "alone", tmp_path / "models"
    words = (*SMALL, "--epochs", "12", "--data", digits)
    assert train(*words, "--models", alone, "--seed", 3)[0] == 0
    command = [sys.executable, "-m", "training", *map(str, words), "--models", str(models)]
    process = subprocess.Popen(
        [*command, "--seeds", "3"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    for line in process.stdout:
        if "epoch  2/12" in line:
            (child,) = children(process.pid)
            os.kill(child, signal.SIGKILL)
            break
    rest, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert "continues after epoch" in rest
    assert "epoch  1/12" not in rest
    assert content(models, 1) == content(alone, 1)
    bad = train(*words, "--models", models, "--seeds", "0,1", "--learning-rate", "1e30")
    assert (bad[0], bad[2].count("\n")) == (1, 1)
    assert "the fit has diverged" in bad[2]


def children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(each) for path in listed for each in path.read_text().split()]


def test_a_search_goes_on_after_a_kill_and_its_winner_is_a_recipe(
    digits: Path, tmp_path: Path
) -> None:
    file = tmp_path / "knobs.toml"
    file.write_text(
        'recipe = "tutorial"\ntrials = 3\n'
        "[knobs.learning_rate]\nlow = 0.0001\nhigh = 0.01\nlog = true\n"
        "[knobs.hidden_units]\nchoices = [[8], [16]]\n"
    )
    words = ("--search", file, "--data", digits, "--epochs", "3", "--workers", "1")
    command = [sys.executable, "-m", "training", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("trial 1") and "epoch 1/3" in line:
            break
    running = children(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()
    for child in running:
        os.kill(child, signal.SIGKILL)
    time.sleep(0.2)
    status, lines, err = train(*words)
    assert (status, err) == (0, "")
    assert any("continues after epoch 1" in line for line in lines)
    results = [line for line in lines if "validation loss" in line and " with " in line]
    assert [line.split()[1] for line in results] == ["2", "3"]
    winner = tmp_path / "knobs.best.toml"
    assert lines[-1] == f"next      train --recipe {winner}"
    settings = tomllib.loads(winner.read_text())
    assert settings["hidden_units"] in ([8], [16])
    assert Config.from_recipe(winner).learning_rate == settings["learning_rate"]
    assert [line.split()[0] for line in train(*words)[1]] == ["search", "next"]


WRONG = {
    "--seeds 4..1": (2, "'4..1' is not like 0..4 or 0,3,7"),
    "--seeds 0 --search x.toml": (2, "exclude each other"),
    "--engine ray": (2, "--engine and --workers are for --seeds and --search"),
    "--seeds 0 --validation-fraction 0": (1, "--seeds needs a validation_fraction above 0"),
    "--search nowhere.toml": (1, "nowhere.toml: No such file or directory"),
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_requests_are_one_line(words: str, tmp_path: Path) -> None:
    status, expected = WRONG[words]
    found = train("--models", tmp_path, *words.split())
    assert (found[0], found[1], found[2].count("\n")) == (status, [], 1)
    assert expected in found[2]


@pytest.mark.campaign
@pytest.mark.alone
@pytest.mark.filterwarnings("ignore")
def test_on_ray_a_killed_worker_costs_no_seed_and_the_bits_are_the_same(
    digits: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    alone, models = tmp_path / "alone", tmp_path / "models"
    words = (*SMALL, "--epochs", "12", "--data", digits)
    assert train(*words, "--models", alone, "--seed", 1)[0] == 0
    command = [sys.executable, "-m", "training", *map(str, words), "--models", str(models)]
    process = subprocess.Popen(
        [*command, "--seeds", "0,1", "--engine", "ray"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    killed = False
    while process.poll() is None and not killed:
        for state in (models / "mnist" / ".checkpoints").glob("seed-1/*/checkpoint.npz"):
            killed = kill_holder(state.parent)
        time.sleep(0.05)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, killed) == (0, True), err
    assert "continues after epoch" in out
    assert content(models, by_seed(models)[1]) == content(alone, 1)


def kill_holder(folder: Path) -> bool:
    """Kills the process that holds the folder open, as a run does with its checkpoints'."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == folder:
                os.kill(int(link.parts[2]), signal.SIGKILL)
                return True
        except OSError:
            continue
    return False
