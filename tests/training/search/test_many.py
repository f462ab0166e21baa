"""``train --seeds`` and ``train --search`` in processes of their own, on a few real digits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from service.models.repository import Repository
from tests.server import wait_until
from tests.training.digits import few, python, train_here, write_folder
from training.__main__ import main
from training.cli.flags import parse
from training.config import Config
from training.errors import TrainingError
from training.search.engines import Run, side_by_side

ROOT = Path(__file__).parents[3]
SMALL = ("--architecture", "mlp", "--hidden-units", "16", "--epochs", "2")
train = partial(python, "-m", "training")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("data") / "digits", few(1000, 40), zipped=True)


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
    """Though a process was killed: it was started again and went on."""
    alone, models = tmp_path / "alone", tmp_path / "models"
    words = (*SMALL, "--epochs", "6", "--data", digits)
    assert train_here(*words, "--models", alone, "--seed", 1)[0] == 0
    seeds = (*words, "--models", models, "--seeds", "0..1")
    process = subprocess.Popen(
        [sys.executable, "-m", "training", *map(str, seeds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if line.startswith("seed 1") and "epoch 2/6" in line:
            kill_seed(1, process.pid)
            break
    rest, err = process.communicate(timeout=120)
    lines = rest.splitlines()
    assert (process.returncode, err) == (0, "")
    told = [line for line in lines if line.startswith("seed 1")]
    assert any("continues after epoch" in line for line in told)
    assert not any("epoch 1/6" in line for line in told)
    versions = by_seed(models)
    assert sorted(versions) == [0, 1]
    assert content(models, versions[1]) == content(alone, 1)
    assert content(models, versions[0]) != content(alone, 1)
    repository = Repository(models)
    losses = {v: repository.card(v)["validation"]["loss"] for v in versions.values()}
    best = min(losses, key=lambda version: losses[version])
    assert repository.champion() == best
    assert lines[-2].startswith(f"promote   version {best} is the champion")
    status, lines, err = train_here(*seeds)
    assert (status, err, len(lines)) == (0, "", 2 + 2)
    assert by_seed(models) == versions
    assert not (models / "mnist" / ".checkpoints").exists()


def kill_seed(seed: int, parent: int) -> None:
    """Kills the process that trains this seed."""
    for child in children(parent):
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if words[words.index(b"--seed") + 1] == str(seed).encode():
            os.kill(child, signal.SIGKILL)


def test_a_failure_ends_the_other_runs(digits: Path, tmp_path: Path) -> None:
    """As Ctrl-C does, so their checkpoints stay."""
    lines: list[str] = []

    def work(data: Path, run: Run) -> None:
        if data != digits:
            wait_until(lambda: lines, 60)
        run([*SMALL, "--epochs", 1000, "--data", data, "--models", tmp_path], lines.append)

    both = (digits, tmp_path / "nowhere")
    with pytest.raises(TrainingError, match="nowhere: no such data"):
        side_by_side(work, both, replace(parse([]), workers=2))
    assert lines[-1].startswith("train: stopped by SIGTERM; nothing was published")


@pytest.mark.campaign
def test_a_fit_that_diverges_ends_all_seeds(digits: Path, tmp_path: Path) -> None:
    words = (*SMALL, "--epochs", "12", "--data", digits, "--models", tmp_path)
    bad = train(*words, "--seeds", "0,1", "--learning-rate", "1e30")
    assert (bad[0], bad[2].count("\n")) == (1, 1)
    assert "the fit has diverged" in bad[2]


def children(parent: int) -> list[int]:
    listed = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(each) for path in listed for each in path.read_text().split()]


@pytest.mark.campaign
def test_a_search_goes_on_after_a_kill_and_its_winner_is_a_recipe(
    digits: Path, tmp_path: Path
) -> None:
    file = tmp_path / "knobs.toml"
    file.write_text(
        'recipe = "tutorial"\ntrials = 2\n'
        "[knobs.learning_rate]\nlow = 0.0001\nhigh = 0.01\nlog = true\n"
        "[knobs.hidden_units]\nchoices = [[8], [16]]\n"
    )
    words = ("--search", file, "--data", digits, "--epochs", "3", "--workers", "1")
    command = [sys.executable, "-m", "training", *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    for line in process.stdout:
        if line.startswith("trial 0") and "epoch 1/3" in line:
            break
    running = children(process.pid)
    process.kill()
    process.wait()
    process.stdout.close()
    for child in running:
        os.kill(child, signal.SIGKILL)
    time.sleep(0.2)
    status, lines, err = train_here(*words)
    assert (status, err) == (0, "")
    again = [line for line in lines if line.startswith("trial 1")]
    assert any("continues after epoch" in line for line in again)
    assert not any("epoch 1/3" in line for line in again)
    results = [line for line in lines if "validation loss" in line and " with " in line]
    assert [line.split()[1] for line in results] == ["1", "2"]
    winner = tmp_path / "knobs.best.toml"
    assert lines[-1] == f"next      train --recipe {winner}"
    settings = tomllib.loads(winner.read_text())
    assert settings["hidden_units"] in ([8], [16])
    assert Config.from_recipe(winner).learning_rate == settings["learning_rate"]
    assert [line.split()[0] for line in train_here(*words)[1]] == ["search", "next"]


WRONG = {
    "--seeds 4..1": (2, "invalid seeds value: '4..1'"),
    "--seeds 0 --search x.toml": (2, "exclude each other"),
    "--engine ray": (2, "--engine and --workers are for --seeds and --search"),
    "--seeds 0 --validation-fraction 0": (1, "--seeds needs a validation_fraction above 0"),
    "--search nowhere.toml": (1, "nowhere.toml: No such file or directory"),
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_requests_are_one_line(
    words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, expected = WRONG[words]
    with suppress(SystemExit) if status == 2 else nullcontext():
        assert main(["--models", str(tmp_path), *words.split()]) == status
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert expected in err


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
