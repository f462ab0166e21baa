"""When an answer is in doubt, and that it hardly ever is on MNIST's own digits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from service.answer.quality import LEAST_CONFIDENCE, doubts, least_confidence
from service.imaging.pipeline import Seen
from service.observe.metrics import DOUBTS
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


def test_an_image_without_ink_is_blank_and_no_other_is() -> None:
    one_pixel = np.zeros((28, 28), np.uint8)
    one_pixel[13, 13] = 200
    assert of_ink(np.zeros((28, 28), np.uint8), one_pixel) == [("blank",), ("too small",)]


def test_faint_ink_is_of_low_contrast() -> None:
    assert of_ink(digits()[0] // 5, digits()[0] // 2) == [("low contrast",), ()]


def test_black_on_white_is_inverted() -> None:
    full = np.full((28, 28), 255, np.uint8)
    assert of_ink(255 - digits()[0], 255 - digits()[1], full) == [("inverted",)] * 3


def test_a_third_of_a_digit_s_size_is_too_small() -> None:
    assert of_ink(smaller(digits()[0], 3), smaller(digits()[2], 3)) == [("too small",)] * 2


def test_two_digits_side_by_side_are_several() -> None:
    pair = np.zeros((28, 28), np.uint8)
    pair[7:21, :14] = digits()[0, ::2, ::2]
    pair[7:21, 14:] = digits()[1, ::2, ::2]
    assert of_ink(pair) == [("several digits",)]


def test_the_test_set_raises_no_more_than_one_doubt_in_500() -> None:
    found = doubts(digits(), sure(10_000), 0.5)
    assert sum(map(bool, found)) <= 20, Counter(found)


@pytest.mark.parametrize("count", [1, 3])
def test_a_model_that_is_unsure_says_that_it_is_not_a_digit(count: int) -> None:
    probabilities = np.full((count, 10), 0.1, np.float32)
    assert doubts(digits()[:count], probabilities, 0.5) == [("not a digit",)] * count
    assert doubts(digits()[:count], probabilities, 0.09) == [()] * count


def test_a_blank_image_is_blank_and_nothing_else() -> None:
    probabilities = np.full((1, 10), 0.1, np.float32)
    assert doubts(np.zeros((1, 28, 28), np.uint8), probabilities, 0.5) == [("blank",)]


def test_a_picture_s_doubts_are_those_of_the_picture_unless_it_is_taken_as_given() -> None:
    images = np.array([digits()[0], 255 - digits()[1]])
    seen = [
        Seen(images[0], "dark on light", (0, 0, 9, 9), ("low contrast",)),
        Seen(images[1], "as given"),
    ]
    assert doubts(images, sure(2), 0.5, seen) == [("low contrast",), ("inverted",)]


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
    images = np.array([np.zeros((28, 28)), digits()[0] // 5, smaller(digits()[0], 3)], np.uint8)
    probabilities = np.full((3, 10), 0.1, np.float32)
    told = {doubt for reasons in doubts(images, probabilities, 0.5) for doubt in reasons}
    assert told == {"blank", "low contrast", "too small", "not a digit"}
    assert told <= set(DOUBTS)
