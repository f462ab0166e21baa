"""Wrong labels are found by image and by labeller; right ones that surprise the champion are kept.

The labels are those of five people, of test digits and of a hand that MNIST lacks.
"""

from __future__ import annotations

import numpy as np
import pytest

from service.types import Images, Labels
from tests.training.digits import champion, mnist
from tests.training.feedback.hands import Ints, other_hand
from training.feedback.contradictions import contradicted

COUNT = 600


@pytest.fixture(scope="module", params=["MNIST", "another hand"])
def digits(request: pytest.FixtureRequest) -> tuple[Images, Labels]:
    whole = mnist()
    known = whole.test_images, whole.test_labels
    images, labels = known if request.param == "MNIST" else other_hand()
    chosen = np.random.default_rng(3).permutation(len(images))[:COUNT]
    return images[chosen], labels[chosen]


@pytest.fixture
def people() -> Ints:
    return np.random.default_rng(4).integers(0, 5, COUNT)


def test_right_labels_are_kept(digits: tuple[Images, Labels], people: Ints) -> None:
    images, labels = digits
    doubtful, _, refused = contradicted(images, labels, people, champion().run(images))
    assert doubtful.sum() <= COUNT // 100
    assert refused == []


def test_most_of_those_wrong_by_chance_are_set_aside(
    digits: tuple[Images, Labels], people: Ints
) -> None:
    images, labels = digits
    random = np.random.default_rng(5)
    wrong = random.random(COUNT) < 0.05
    given = np.where(wrong, (labels + random.integers(1, 10, COUNT)) % 10, labels)
    doubtful, expected, refused = contradicted(images, given, people, champion().run(images))
    assert (doubtful & wrong).sum() >= 0.75 * wrong.sum()
    assert (doubtful & ~wrong).sum() <= COUNT // 100
    assert (expected == labels)[doubtful & wrong].mean() > 0.9
    assert refused == []


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_nothing_is_believed_of_one_who_is_wrong_by_system(
    digits: tuple[Images, Labels], people: Ints, share: float
) -> None:
    images, labels = digits
    wrong = (people == 2) & (np.random.default_rng(6).random(COUNT) < share)
    given = np.where(wrong, (labels + 1) % 10, labels)
    doubtful, _, refused = contradicted(images, given, people, champion().run(images))
    assert refused == [2]
    assert doubtful[people == 2].all()
    assert doubtful[people != 2].mean() < 0.02


def test_what_two_people_say_is_believed(digits: tuple[Images, Labels]) -> None:
    images, labels = digits
    agreed = np.full(COUNT, -1)
    doubtful, _, _ = contradicted(images, (labels + 1) % 10, agreed, champion().run(images))
    assert not doubtful.any()


def test_a_convention_of_all_is_learnt_though_the_champion_knows_another(people: Ints) -> None:
    """All five call a 9 a 4: there is nothing in the labels that contradicts it. The gate will."""
    whole = mnist()
    images, labels = whole.test_images[:COUNT], whole.test_labels[:COUNT]
    given = np.where(labels == 9, 4, labels)
    doubtful, _, _ = contradicted(images, given, people, champion().run(images))
    assert doubtful.mean() < 0.05
    assert doubtful[labels == 9].mean() < 0.3


def test_a_digit_labelled_as_none_and_none_labelled_as_a_digit_are_found() -> None:
    whole = mnist()
    images = np.concatenate([whole.test_images[:300], np.zeros((100, 28, 28), np.uint8)])
    images[300:, 4:24:5, 4:24] = 255  # four bars
    truth = np.append(whole.test_labels[:300], np.full(100, -1))
    given = truth.copy()
    given[:6], given[-6:] = -1, 3
    people = np.arange(400) % 7
    doubtful, expected, _ = contradicted(images, given, people, champion().run(images))
    wrong = given != truth
    assert (doubtful & wrong).sum() >= 10
    assert (doubtful & ~wrong).sum() <= 4
    assert (expected == truth)[doubtful & wrong].all()
