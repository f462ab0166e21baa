"""A champion of the recipe `quick`, trained once for all long tests of this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.digits import python


def train(models: Path, *words: str) -> list[str]:
    """Runs the command with the recipe `quick`; returns its lines."""
    status, lines, err = python("-m", "training", "--recipe", "quick", "--models", models, *words)
    assert (status, err) == (0, ""), err
    return lines


@pytest.fixture(scope="session")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = tmp_path_factory.mktemp("quick") / "models"
    train(models)
    return models


@pytest.fixture
def models(before: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(before, tmp_path / "models"))
