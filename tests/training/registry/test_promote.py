"""The gate passes versions that are not worse, and only versions that serve become champion."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.models.repository import Repository
from tests.tiny import tiny_model_bytes, tiny_repository, tiny_version
from training.export.verify import VerificationFailed
from training.registry.promote import Decision, decide, gate, promote, release
from training.registry.publish import PublishError, locked, staging


def card(accuracy: Any, version: str = "1", *, passed: bool = True) -> dict[str, Any]:
    return {
        "version": version,
        "test": {"count": 10_000, "accuracy": accuracy},
        "verification": {"passed": passed},
    }


@pytest.mark.parametrize(
    ("own", "best", "tolerance", "promoted"),
    [
        (0.9900, 0.9900, 0.0, True),
        (0.9901, 0.9900, 0.0, True),
        (0.9899, 0.9900, 0.0, False),
        (0.9899, 0.9900, 0.0001, True),
        (0.9898, 0.9900, 0.0001, False),
        (0.3, 0.1 + 0.2, 0.0, True),  # the same accuracy but for rounding
        (0.0, 1.0, 1.0, True),
    ],
)
def test_the_gate_compares_accuracies(
    own: float, best: float, tolerance: float, promoted: bool
) -> None:
    decision = gate(card(own), card(best, "7"), tolerance)
    assert decision.promoted is promoted
    assert decision.previous == 7
    assert f"{own:.4f}" in decision.reason
    assert "champion 7" in decision.reason


def test_the_first_version_passes() -> None:
    assert gate(card(0.1), None) == Decision(True, "there is no champion yet")


@pytest.mark.parametrize("champion", [None, card(0.5)])
def test_what_is_not_verified_or_has_no_accuracy_does_not_pass(
    champion: dict[str, Any] | None,
) -> None:
    assert not gate(card(0.99, passed=False), champion).promoted
    assert not gate({"test": {"accuracy": 0.99}}, champion).promoted
    for accuracy in (None, float("nan"), "0.99", 7):
        assert not gate(card(accuracy), champion).promoted


def test_a_champion_without_an_accuracy_is_not_beaten() -> None:
    assert gate(card(0.99), card(None)).reason == "the card of champion 1 has no test accuracy"


def test_the_reason_says_when_the_test_images_were_others() -> None:
    files = {"train-images": "aa", "t10k-images": "bb"}
    own, best = card(0.99), card(0.98)
    own["data"], best["data"] = {"files": files}, {"files": {**files, "train-images": "cc"}}
    assert "other test images" not in gate(own, best).reason
    best["data"] = {"files": {**files, "t10k-images": "dd"}}
    assert gate(own, best).reason.endswith("they were measured on other test images")


@pytest.mark.parametrize(
    ("name", "content"), [("champion", "one\n"), ("1/card.json", "{"), ("champion", "8\n")]
)
def test_only_force_passes_a_damaged_champion(tmp_path: Path, name: str, content: str) -> None:
    root = tiny_repository(tmp_path)
    (root / "mnist" / name).write_text(content)
    decision = decide(Repository(root), card(1.0), 0.0, force=False)
    assert not decision.promoted
    assert decision.reason.startswith("the champion cannot be compared with: ")
    forced = decide(Repository(root), card(1.0), 0.0, force=True)
    assert (forced.promoted, forced.reason) == (True, f"forced, although {decision.reason}")


def released(root: Path, accuracy: float, **options: Any) -> tuple[int, Decision]:
    with staging(root) as folder:
        (folder / "model.onnx").write_bytes(tiny_model_bytes(9))
        return release(folder, root, card(accuracy), **options)


def test_a_release_writes_its_decision_to_the_card_and_to_the_journal(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    assert released(tmp_path, 0.9) == (1, Decision(True, "there is no champion yet"))
    worse = released(tmp_path, 0.8)[1]
    assert (worse.promoted, repository.champion()) == (False, 1)
    assert repository.card(2)["promotion"] == worse.as_dict()
    assert released(tmp_path, 0.95, wanted=False)[1].reason == "promotion was not wanted"
    assert released(tmp_path, 0.85, force=True)[1].reason.startswith("forced, although test acc")
    assert repository.champion() == 4
    journal = repository.journal()
    entries = [(entry["version"], entry["previous"], entry["command"]) for entry in journal]
    assert entries == [("1", None, "train"), ("4", "1", "train")]
    assert journal[1]["reason"] == repository.card(4)["promotion"]["reason"]


def test_a_release_with_a_damaged_champion_publishes_and_leaves_it(tmp_path: Path) -> None:
    released(tmp_path, 0.9)
    (tmp_path / "mnist/champion").write_text("rubbish")
    version, decision = released(tmp_path, 0.99)
    assert (version, decision.promoted) == (2, False)
    assert "is damaged: it holds b'rubbish'" in decision.reason
    assert (tmp_path / "mnist/champion").read_text() == "rubbish"
    assert released(tmp_path, 0.99, force=True)[1].promoted
    assert Repository(tmp_path).champion() == 3


def test_a_staged_file_that_does_not_serve_is_not_published(tmp_path: Path) -> None:
    with staging(tmp_path) as folder:
        (folder / "model.onnx").write_bytes(b"no model")
        with pytest.raises(VerificationFailed, match="does not serve"):
            release(folder, tmp_path, card(0.9))
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
