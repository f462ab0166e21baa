"""Only versions that serve become champion, and each decision is on record."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.models.repository import Repository
from tests.tiny import dense_model_bytes, tiny_model_bytes, tiny_repository, tiny_version
from training.export.verify import VerificationFailed
from training.registry.gate import Decision, Labelled
from training.registry.promote import promote, release
from training.registry.publish import PublishError, locked, staging

CARD: dict[str, Any] = {
    "test": {"count": 10, "accuracy": 0.9},
    "verification": {"passed": True},
}
BLANK = np.zeros((1000, 28, 28), np.uint8), np.zeros(1000, np.int64)
"""Images that every tiny model reads as 0."""


def bad_model_bytes() -> bytes:
    """A model that reads all blank images as 9."""
    bias = np.array([0] * 9 + [9], np.float32)
    return dense_model_bytes(np.zeros((784, 10), np.float32), bias)


def released(
    root: Path, model: bytes, *, test: Labelled | None = BLANK, force: bool = False
) -> tuple[int, Decision]:
    with staging(root) as folder:
        (folder / "model.onnx").write_bytes(model)
        return release(folder, root, CARD, test, force=force)


def test_a_release_writes_its_decision_to_the_card_and_to_the_journal(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    good, bad = tiny_model_bytes(9), bad_model_bytes()
    assert released(tmp_path, good) == (1, Decision(True, "there is no champion yet"))
    worse = released(tmp_path, bad)[1]
    assert (worse.promoted, repository.champion()) == (False, 1)
    assert repository.card(2)["promotion"] == worse.as_dict()
    assert released(tmp_path, good, test=None)[1].reason == "promotion was not wanted"
    assert released(tmp_path, bad, force=True)[1].reason.startswith("forced, although it is not")
    assert repository.champion() == 4
    journal = repository.journal()
    entries = [(entry["version"], entry["previous"], entry["command"]) for entry in journal]
    assert entries == [("1", None, "train"), ("4", "1", "train")]
    assert journal[1]["reason"] == repository.card(4)["promotion"]["reason"]


def test_a_release_with_a_damaged_champion_publishes_and_leaves_it(tmp_path: Path) -> None:
    released(tmp_path, tiny_model_bytes(9))
    (tmp_path / "mnist/champion").write_text("rubbish")
    version, decision = released(tmp_path, tiny_model_bytes(9))
    assert (version, decision.promoted) == (2, False)
    assert "is damaged: it holds 'rubbish'" in decision.reason
    assert (tmp_path / "mnist/champion").read_text() == "rubbish"
    assert released(tmp_path, tiny_model_bytes(9), force=True)[1].promoted
    assert Repository(tmp_path).champion() == 3


def test_a_staged_file_that_does_not_serve_is_not_published(tmp_path: Path) -> None:
    with staging(tmp_path) as folder:
        (folder / "model.onnx").write_bytes(b"no model")
        with pytest.raises(VerificationFailed, match="does not serve"):
            release(folder, tmp_path, CARD, BLANK)
    assert Repository(tmp_path).versions() == []


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda folder: os.truncate(folder / "model.onnx", 1000),
    "swapped": lambda folder: (folder / "model.onnx").write_bytes(tiny_model_bytes(5)),
    "missing": lambda folder: (folder / "model.onnx").unlink(),
    "no card": lambda folder: (folder / "card.json").unlink(),
    "not there": lambda folder: folder.rename(folder.parent / "3"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_version_that_cannot_serve_never_becomes_champion(tmp_path: Path, damage: str) -> None:
    root = tiny_repository(tmp_path, versions=(1, 2))
    DAMAGES[damage](root / "mnist/2")
    error = refused(root)
    assert error.startswith("nothing was promoted: version 2: ")
    assert "\n" not in error


def refused(root: Path) -> str:
    """Promotes version 2 in vain; nothing changes. Returns the reason."""
    path = root / "mnist/champion"
    before = path.is_file() and path.read_bytes()
    with locked(root), pytest.raises(PublishError) as caught:
        promote(root, 2, reason="a test", command="test")
    assert (path.is_file() and path.read_bytes()) == before
    assert Repository(root).journal() == []
    return str(caught.value)


def test_a_file_with_the_hash_of_its_card_that_does_not_serve_is_rejected(tmp_path: Path) -> None:
    root = tiny_repository(tmp_path)
    tiny_version(root, 2, b"no model, honestly described")
    assert "version 2: the file does not serve: " in refused(root)


def test_a_champion_file_that_cannot_be_replaced_is_one_line(tmp_path: Path) -> None:
    root = tiny_repository(tmp_path, versions=(1, 2), champion=None)
    (root / "mnist/champion").mkdir()
    (root / "mnist/champion/inside").touch()
    assert re.fullmatch(r"nothing was promoted: .*: Is a directory", refused(root))
    names = {path.name for path in (root / "mnist").iterdir()}
    assert names == {"1", "2", "champion", "journal.jsonl"}
