"""`train --feedback` with the recipe `quick` learns a hand that MNIST lacks, and no wrong labels.

``python -m tests.training.feedback.test_learning`` prints the figures of docs/training.md.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.inference.runtime import Runtime
from service.models.repository import Repository
from service.types import Images, Labels
from tests.training.digits import mnist
from tests.training.feedback.conftest import train
from tests.training.feedback.hands import Ints, fill, other_hand

COUNT = 300
PEOPLE = [f"person {n % 5}" for n in range(COUNT)]


def labelled() -> tuple[Images, Labels, Images, Labels]:
    """300 digits to label, and the other 1,497."""
    images, labels = other_hand()
    order = np.random.default_rng(8).permutation(len(labels))
    some, rest = order[:COUNT], order[COUNT:]
    return images[some], labels[some], images[rest], labels[rest]


def share_right(repository: Repository, version: int, images: Images, labels: Labels) -> float:
    runtime = Runtime.load(repository.read_model(version), provider="cpu")
    return float((runtime.run(images).argmax(axis=1) == labels).mean())


def learn(models: Path, given: Ints) -> tuple[dict[str, Any], list[str], tuple[float, float]]:
    """Learns the labels ``given``; returns the new card, the output, and the unseen shares right.

    These are those of version 1 and of the newest on the digits that nobody labelled.
    """
    images, _, unseen, truth = labelled()
    fill(models / "learning.sqlite", images, given, PEOPLE)
    lines = train(models, "--feedback")
    repository = Repository(models)
    newest = repository.versions()[-1]
    shares = [share_right(repository, version, unseen, truth) for version in (1, newest)]
    return repository.card(newest), lines, (shares[0], shares[1])


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_another_hand_is_learnt_and_the_test_set_stays_within_the_margin(models: Path) -> None:
    _, digits, _, _ = labelled()
    card, _, (old, new) = learn(models, digits)
    assert new >= old + 0.01
    assert new >= 0.95
    told = card["feedback"]
    assert told["accuracy"] >= told["champion_accuracy"]
    assert told["learnt"] + told["held_out"] >= 0.97 * COUNT
    assert card["settings"]["seed"] != 0
    assert card["promotion"]["promoted"], card["promotion"]["reason"]
    assert [trial["images"] for trial in card["promotion"]["tests"]] == [
        "test images",
        "labelled images",
    ]
    again = train(models, "--feedback")
    assert again[-1].split(maxsplit=1)[1] == "nothing is new since champion 2, so it stays"
    assert Repository(models).versions() == [1, 2]


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_wrong_labels_reach_no_champion(models: Path) -> None:
    """5 % are wrong by chance, and one of five people is wrong by system in 30 %."""
    _, digits, _, _ = labelled()
    random = np.random.default_rng(9)
    by_chance = random.random(COUNT) < 0.05
    by_system = (np.arange(COUNT) % 5 == 2) & (random.random(COUNT) < 0.3)
    given = np.where(by_chance, (digits + random.integers(1, 10, COUNT)) % 10, digits)
    given = np.where(by_system, (digits + 1) % 10, given)
    card, lines, (old, new) = learn(models, given)
    assert any("nothing is learnt of person 2: contradicted" in line for line in lines)
    assert card["feedback"]["set_aside"] >= 0.9 * (COUNT // 5)
    assert new >= old
    champion = Repository(models).champion()
    whole = mnist()
    right = share_right(Repository(models), champion, whole.test_images, whole.test_labels)
    assert right >= Repository(models).card(1)["test"]["accuracy"] - 0.002


def main() -> None:
    """Prints what the two tests above find."""
    import tempfile

    _, digits, _, _ = labelled()
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder) / "models"
        train(models)
        first = Repository(models).card(1)
        card, lines, shares = learn(models, digits)
        print("\n".join(line for line in lines if line.startswith(("feedback", "promote"))))
        print("unseen before, after", shares)
        print("test before, after", first["test"]["accuracy"], card["test"]["accuracy"])
        print(json.dumps(card["feedback"]))


if __name__ == "__main__":
    main()
