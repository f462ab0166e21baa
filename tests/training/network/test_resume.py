"""A killed run is resumed and ends with the same weights as an uninterrupted one.

The runs are real ``train`` processes, ended by SIGKILL. The tests compare the probabilities of the
published files bit for bit.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.inference.runtime import Runtime
from service.models.repository import Repository
from tests.training.digits import few, python, write_folder
from tests.training.network.test_fit import STAGES
from tests.training.network.test_recorder import timeless

pytestmark = pytest.mark.campaign
FEW = few(400, 100)
SETTINGS: dict[str, Any] = {
    **STAGES,
    "clean_epochs": 3,
    "epochs": 3,
    "batch_size": 32,
    "dropout": 0.1,
    "schedule": "one_cycle",
    "weight_decay": 0.04,
}
RECIPE = "\n".join(f"{name} = {json.dumps(value)}" for name, value in SETTINGS.items())
# Ends itself, so that the signal comes at one point of the run however busy the machine is.
KILLED = """
import os, sys
from training.__main__ import main
from training.report import Report

tell, last, number = Report.epoch, int(sys.argv[1]), int(sys.argv[2])

def tell_and_end(self, epoch, epochs):
    tell(self, epoch, epochs)
    if epoch.epoch == last:
        os.kill(os.getpid(), number)

Report.epoch = tell_and_end
sys.exit(main(sys.argv[3:]))
"""
# Ends itself once the version is published: before it is champion, or before its checkpoint goes.
KILLED_LATE = """
import os, signal, sys
from training.network import checkpoint
from training.registry import promote
from training.__main__ import main

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "promote":
    promote.promote = die
else:
    checkpoint.Checkpoint.remove = die
sys.exit(main(sys.argv[2:]))
"""

Finished = tuple[int, list[str], str]


class Runs:
    """Starts ``train`` with one recipe, in repositories of one name each."""

    def __init__(self, folder: Path, recipe: str) -> None:
        self.folder = folder
        self.data = write_folder(folder / "digits", FEW)
        self.recipe = folder / "small.toml"
        self.recipe.write_text(recipe)
        self.told: list[str] = []

    def run(self, name: str, *words: str | Path, program: Any = ("-m", "training")) -> Finished:
        settings = ("--recipe", self.recipe, "--data", self.data, "--models", self.folder / name)
        return python(*program, *settings, *words)

    def kill(self, name: str, epoch: int, *words: str, number: int = signal.SIGKILL) -> Finished:
        """A run that gets a signal as soon as it has told of an epoch."""
        return self.run(name, *words, program=("-c", KILLED, epoch, int(number)))

    def checkpoints(self, name: str) -> list[Path]:
        return sorted((self.folder / name / "mnist" / ".checkpoints").glob("*"))

    def answers(self, name: str) -> Any:
        """The probabilities of version 1 on the test images."""
        path = Repository(self.folder / name).path(1) / "model.onnx"
        return Runtime.load(path, provider="cpu").run(FEW.test_images)


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """The run of two stages that nobody stopped is ``whole``."""
    runs = Runs(tmp_path_factory.mktemp("staged"), RECIPE)
    status, runs.told, err = runs.run("whole")
    assert (status, err) == (0, "")
    return runs


def test_killed_in_both_stages_and_after_them_it_ends_with_the_same_file(staged: Runs) -> None:
    """Within the first stage, within the second, and after the last epoch."""
    for done in (1, 4, 6):
        words = () if done == 1 else ("--resume",)
        status, lines, err = staged.kill("killed", done, *words)
        assert (status, err) == (-signal.SIGKILL, "")
        assert lines[-1].startswith(f"fit       epoch {done}/6")
        assert len(staged.checkpoints("killed")) == 1
    status, lines, err = staged.run("killed", "--resume")
    assert (status, err) == (0, "")
    assert "resume    continues after epoch 6" in lines
    assert not [line for line in lines if line.startswith("fit       epoch")]
    np.testing.assert_array_equal(staged.answers("killed"), staged.answers("whole"))

    killed, whole = (Repository(staged.folder / name).card(1) for name in ("killed", "whole"))
    assert timeless(killed["training"]) == timeless(whole["training"])
    assert killed["test"] == whole["test"]
    for name in ("seconds", "cpu_seconds"):
        times = [epoch[name] for epoch in killed["training"]["epochs"]]
        assert times == sorted(times)
        assert 0 < times[0] < times[-1] < killed["training"][name]
    left = sorted(path.name for path in (staged.folder / "killed/mnist").iterdir())
    assert left == ["1", "champion", "journal.jsonl"]


def test_it_says_of_which_epochs_the_weights_are(staged: Runs) -> None:
    fit = [line.removeprefix("fit       ") for line in staged.told if line.startswith("fit")]
    assert [line.split("  ")[0] for line in fit[:-1]] == [f"epoch {n}/6" for n in range(1, 7)]
    assert fit[-1].endswith("; kept 30% of epoch 3 and 70% of epoch 6")


def test_stopped_it_says_how_it_goes_on_and_another_run_begins(staged: Runs) -> None:
    status, _, err = staged.kill("other", 2, number=signal.SIGTERM)
    assert status == 143
    assert err == (
        "train: stopped by SIGTERM; nothing was published; "
        "the same command with --resume continues after epoch 2\n"
    )
    before = staged.checkpoints("other")
    words = ("--architecture", "mlp", "--epochs", "1", "--resume")
    status, lines, err = staged.run("other", *words, "--clean-epochs", "0", "--clean-share", "0")
    assert (status, err) == (0, "")
    assert "resume    no such run was interrupted; starting from the beginning" in lines
    assert staged.checkpoints("other") == before


def test_a_run_that_nobody_stopped_begins_and_its_checkpoints_may_lie_elsewhere(
    staged: Runs,
) -> None:
    folder = staged.folder / "checkpoints"
    words = ("--architecture", "mlp", "--clean-share", "0", "--resume", "--checkpoints", folder)
    status, lines, err = staged.run("elsewhere", *words)
    assert (status, err) == (0, "")
    assert "resume    no such run was interrupted; starting from the beginning" in lines
    assert not folder.exists()


@pytest.mark.parametrize("before", ["promote", "clean up"])
def test_killed_once_it_has_published_it_does_not_publish_again(staged: Runs, before: str) -> None:
    words = ("--architecture", "mlp", "--clean-epochs", "0", "--clean-share", "0", "--epochs", "1")
    status, _, err = staged.run(before, *words, program=("-c", KILLED_LATE, before))
    assert (status, err) == (-signal.SIGKILL, "")
    repository = Repository(staged.folder / before)
    assert repository.versions() == [1]
    assert len(staged.checkpoints(before)) == 1
    status, lines, err = staged.run(before, *words, "--resume")
    assert (status, err) == (0, "")
    told = [line.split()[0] for line in lines]
    assert told == ["data", "resume", "resume", "publish", "promote", "next"]
    assert "version 1 was published before the interruption" in lines[2]
    assert (repository.versions(), repository.champion()) == ([1], 1)
    assert staged.checkpoints(before) == []
