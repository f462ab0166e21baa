"""When an answer is in doubt, and that it hardly ever is on MNIST's own digits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from service.answer.quality import LEAST_CONFIDENCE, doubts, least_confidence
from service.observe.metric_table import DOUBTS
from service.types import Images
from tests.service.decode.samples import digits


def sure(count: int) -> NDArray[np.float32]:
    """Probabilities (count, 10) of a model that has no doubt."""
    return np.eye(10, dtype=np.float32)[np.zeros(count, int)]


def of_ink(*images: Images) -> list[tuple[str, ...]]:
    """The doubts of each image alone; together they are the same."""
    alone = [doubts(image[None], sure(1), 0.5)[0] for image in images]
    assert doubts(np.array(images), sure(len(images)), 0.5) == alone
    return alone


def smaller(image: Images, factor: int) -> Images:
    """The image drawn at a fraction of its size in the same field."""
    small = image[::factor, ::factor]
    field = np.zeros((28, 28), np.uint8)
    field[10 : 10 + len(small), 10 : 10 + len(small)] = small
    return field


ZERO, ONE = digits()[:2]
BLANK = np.zeros((28, 28), np.uint8)
ONE_PIXEL = BLANK.copy()
ONE_PIXEL[13, 13] = 200
PAIR = BLANK.copy()
PAIR[7:21, :14], PAIR[7:21, 14:] = ZERO[::2, ::2], ONE[::2, ::2]


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ((BLANK, ONE_PIXEL), [("blank",), ("too small",)]),
        ((ZERO // 5, ZERO // 2), [("low contrast",), ()]),
        ((255 - ZERO, 255 - ONE, np.full((28, 28), 255, np.uint8)), [("inverted",)] * 3),
        ((smaller(ZERO, 3), smaller(digits()[2], 3)), [("too small",)] * 2),
        ((PAIR,), [("several digits",)]),
    ],
)
def test_the_ink_of_an_image_gives_its_doubts(
    images: tuple[Images, ...], expected: list[tuple[str, ...]]
) -> None:
    assert of_ink(*images) == expected


def test_the_test_set_raises_no_more_than_one_doubt_in_500() -> None:
    found = doubts(digits(), sure(10_000), 0.5)
    assert sum(map(bool, found)) <= 20, Counter(found)


@pytest.mark.parametrize("count", [1, 3])
def test_a_model_that_is_unsure_says_that_it_is_not_a_digit(count: int) -> None:
    probabilities = np.full((count, 10), 0.1, np.float32)
    assert doubts(digits()[:count], probabilities, 0.5) == [("not a digit",)] * count
    assert doubts(digits()[:count], probabilities, 0.09) == [()] * count
    assert doubts(BLANK[None], probabilities[:1], 0.5) == [("blank",)], "and nothing else"


def test_a_picture_s_doubts_are_those_of_the_picture_unless_it_is_taken_as_given() -> None:
    images = np.array([digits()[0], 255 - digits()[1]])
    found = doubts(images, sure(2), 0.5, [("low contrast",), None])
    assert found == [("low contrast",), ("inverted",)]


@pytest.mark.parametrize(
    ("card", "least"),
    [
        ({"doubt": {"score": "max_probability", "threshold": 0.83}}, 0.83),
        ({"doubt": {"score": "energy", "threshold": 0.83}}, LEAST_CONFIDENCE),
        ({"doubt": {"score": "max_probability", "threshold": "high"}}, LEAST_CONFIDENCE),
        ({"doubt": 7}, LEAST_CONFIDENCE),
        ({}, LEAST_CONFIDENCE),
    ],
)
def test_the_operating_point_is_the_card_s(card: dict[str, object], least: float) -> None:
    assert least_confidence(card) == least


def test_every_doubt_that_is_told_is_counted() -> None:
    images = np.array([BLANK, ZERO // 5, smaller(ZERO, 3)])
    probabilities = np.full((3, 10), 0.1, np.float32)
    told = {doubt for reasons in doubts(images, probabilities, 0.5) for doubt in reasons}
    assert told == {"blank", "low contrast", "too small", "not a digit"}
    assert told <= set(DOUBTS)
