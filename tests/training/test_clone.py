"""A training run in a clone leaves git's status clean, and a promotion changes two files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from service.models.repository import Repository
from tests.training.digits import few, train_here, write_folder
from training.cli.models import main

ROOT = Path(__file__).parents[2]


def git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), "-c", "safe.directory=*", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (ROOT / ".git").exists():
        pytest.skip("the sources are no git repository")
    folder = tmp_path_factory.mktemp("clone") / "mnist-serve"
    git(folder.parent, "clone", "--quiet", str(ROOT), str(folder))
    (folder / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    return folder


def test_the_committed_champion_is_a_committed_version(clone: Path) -> None:
    """.gitignore covers versions, so that a new champion has to be added with ``git add -f``."""
    champion = Repository(clone / "models").champion()
    assert git(clone, "ls-files", f"models/mnist/{champion}/model.onnx")


@pytest.mark.slow
def test_a_run_leaves_the_status_clean_and_a_promotion_shows_as_two_files(clone: Path) -> None:
    before = git(clone, "status", "--porcelain")
    repository = Repository(clone / "models")
    champion = repository.champion()
    data = write_folder(clone.parent / "digits", few(400, 100))
    mine = ("--models", clone / "models")
    words = ("--architecture", "mlp", "--hidden-units", "16", "--epochs", "1", "--data", data)
    status, lines, err = train_here(*words, *mine)
    assert (status, err) == (0, "")
    own = repository.versions()[-1]
    assert f"version {own} is published, not promoted" in lines[-1]
    assert repository.champion() == champion
    assert git(clone, "status", "--porcelain") == before

    assert main(["promote", str(own), "--force", *map(str, mine)]) == 0
    changed = git(clone, "status", "--porcelain").replace(before, "").splitlines()
    assert changed == [" M models/mnist/champion", " M models/mnist/journal.jsonl"]
    git(clone, "checkout", "--", "models/mnist")
    assert git(clone, "status", "--porcelain") == before
    assert repository.champion() == champion
