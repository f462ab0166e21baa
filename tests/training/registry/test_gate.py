"""The gate passes versions that are shown not to be worse than the champion or the best."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from service.models.repository import Repository
from tests.tiny import dense_model_bytes, tiny_repository, tiny_version
from tests.training.registry.gate_table import DIFFERENT, SEEDS, passes
from training.registry.gate import FIELD, TEST, Decision, Labelled, Trial, decide, gate


def reader(wrong: int, more: int = 0) -> bytes:
    """A model that reads the digit that an image's first pixels encode, but for some images.

    Image N of :func:`digits` has ink in pixel 10 + N % 10, its digit, and in pixel 20 + N // 10,
    its group. The model misreads the groups from ``more`` to ``more + wrong``.
    """
    weights = np.zeros((784, 10), np.float32)
    weights[10:20] = 20 * np.eye(10)
    weights[20 + more : 20 + more + wrong, 0] = 40  # it reads a 0, which no image is
    return dense_model_bytes(weights, np.zeros(10, np.float32))


def digits(groups: int = 300) -> Labelled:
    """Images of the digits 1 to 9, a group of nine after the other, and their labels."""
    labels = np.tile(np.arange(1, 10), groups)
    images = np.zeros((len(labels), 784), np.uint8)
    images[np.arange(len(labels)), 10 + labels] = 255
    images[np.arange(len(labels)), 20 + np.arange(len(labels)) // 9] = 255
    return images.reshape(-1, 28, 28), labels


def repository(root: Path, *models: bytes, champion: int = 1) -> Repository:
    for version, model in enumerate(models, 1):
        tiny_version(root, version, model, accuracy=0.9 + 0.01 * version)
    (root / "mnist/champion").write_text(f"{champion}\n")
    return Repository(root)


@pytest.mark.parametrize(
    ("won", "lost", "passed"),
    [(0, 0, True), (0, 5, True), (9, 9, True), (15, 22, True), (15, 30, False), (0, 20, False)],
)
def test_the_mistakes_of_only_one_decide(won: int, lost: int, passed: bool) -> None:
    trial = Trial(7, "champion", "test images", 10_000, won, lost)
    decision = gate([trial])
    assert (decision.promoted, decision.previous) == (passed, 7)
    assert f"of 10,000 test images only it reads {won}, only 7 reads {lost} (p = " in str(trial)
    assert decision.reason == str(trial)


def test_the_first_version_passes() -> None:
    assert gate([]) == Decision(True, "there is no champion yet")


def test_the_champion_and_the_candidate_read_the_same_images(tmp_path: Path) -> None:
    kept = repository(tmp_path, reader(wrong=2))
    same = decide(kept, reader(wrong=2), digits())
    assert (same.promoted, same.trials[0].won, same.trials[0].lost) == (True, 0, 0)
    other = decide(kept, reader(wrong=2, more=1), digits())
    assert (other.trials[0].won, other.trials[0].lost) == (9, 9)
    worse = decide(kept, reader(wrong=9), digits())
    assert not worse.promoted
    assert worse.reason.startswith("not shown not to be worse than champion 1: of 2,700 test ")
    assert worse.as_dict()["tests"][0]["only_other_right"] == 63
    forced = decide(kept, reader(wrong=9), digits(), force=True)
    assert (forced.promoted, forced.reason) == (True, f"forced, although it is {worse.reason}")


@pytest.mark.parametrize(
    ("won", "lost", "count", "passed", "small"),
    [
        (0, 0, 90, True, False),
        (3, 0, 90, True, True),
        (2, 6, 90, True, True),
        (0, 4, 90, True, True),
        (0, 5, 90, False, True),
        (9, 21, 300, False, True),
        (30, 40, 20_000, True, False),
        (30, 75, 20_000, False, False),
    ],
)
def test_a_small_field_set_rejects_what_is_shown_to_be_worse(
    won: int, lost: int, count: int, passed: bool, small: bool
) -> None:
    trial = Trial(7, "champion", FIELD, count, won, lost)
    assert (trial.passed, trial.is_small) == (passed, small)
    shown = {True: "not shown to be worse", False: "shown to be worse"}[passed]
    assert str(trial).startswith(shown) == small
    assert trial.as_dict()["margin"] == (None if small else 0.002)


def test_what_people_labelled_decides_beside_the_test_set(tmp_path: Path) -> None:
    """The candidate misreads two groups of nine images, which are in the field set only."""
    kept, (images, labels) = repository(tmp_path, reader(wrong=0)), digits()
    test, field = (images[90:], labels[90:]), (images[:90], labels[:90])
    same = decide(kept, reader(wrong=0), test, field)
    assert [trial.images for trial in same.trials] == [TEST, FIELD]
    assert same.promoted
    assert "of 2,610 test images" in same.reason
    worse = decide(kept, reader(wrong=2), test, field)
    assert not worse.promoted
    assert worse.reason.startswith("shown to be worse than champion 1: of 90 labelled images ")
    assert worse.as_dict()["tests"][1]["only_other_right"] == 18


@pytest.mark.parametrize("seed", range(3))
def test_seeds_pass_against_each_other_and_a_worse_version_does_not(seed: int) -> None:
    """The simulations of docs/training.md, with fewer tries."""
    pairs = [passes(new, old, DIFFERENT, 100, seed) for new, old in permutations(SEEDS, 2)]
    assert sum(share > 0.5 for share in pairs) > 0.8 * len(pairs)
    assert passes(99.5, 99.75, 45, 300, seed) < 0.05
    assert not any(
        Trial(1, "", TEST, 10_000, won, won + 25).passed for won in range(50)
    )  # 99.50 against 99.75 %, however many they differ on


def test_small_losses_do_not_add_up(tmp_path: Path) -> None:
    """A version must also hold against the best champion on record."""
    kept = repository(tmp_path, reader(wrong=9), reader(wrong=0), reader(wrong=8), champion=3)
    entries = [("1", None), ("2", "1"), ("3", "2")]
    lines = [json.dumps({"version": new, "previous": old}) for new, old in entries]
    (tmp_path / "mnist/journal.jsonl").write_text("\n".join(lines) + "\n")
    for number, accuracy in ((2, 0.99), (3, 0.98)):
        path = kept.path(number) / "card.json"
        card = json.loads(path.read_text())
        path.write_text(json.dumps({**card, "test": {"count": 2700, "accuracy": accuracy}}))
    decision = decide(kept, reader(wrong=8), digits())
    assert [(trial.version, trial.passed) for trial in decision.trials] == [(3, True), (2, False)]
    assert "worse than the best champion on record, 2: " in decision.reason


@pytest.mark.parametrize(
    ("name", "content"), [("champion", "one\n"), ("1/card.json", "{"), ("champion", "8\n")]
)
def test_only_force_passes_a_damaged_champion(tmp_path: Path, name: str, content: str) -> None:
    root = tiny_repository(tmp_path)
    (root / "mnist" / name).write_text(content)
    candidate = reader(0), digits(1)
    decision = decide(Repository(root), *candidate)
    assert not decision.promoted
    assert decision.reason.startswith("the champion cannot be compared with: ")
    forced = decide(Repository(root), *candidate, force=True)
    assert (forced.promoted, forced.reason) == (True, f"forced, although {decision.reason}")
