from __future__ import annotations

import numpy as np
import pytest

from service.reasons.shapley import cells, clusters, footprints, keep
from service.types import Images
from tests.service.reasons.mnist import digits

DIGITS = digits(20)
ODD = {
    "blank": np.zeros((28, 28), np.uint8),
    "one pixel": np.pad(np.ones((1, 1), np.uint8), ((9, 18), (3, 24))),
    "full": np.full((28, 28), 255, np.uint8),
    "a digit": DIGITS[0],
}


@pytest.mark.parametrize("image", ODD.values(), ids=ODD.keys())
def test_each_pixel_with_ink_is_in_one_patch(image: Images) -> None:
    for patches in (cells(image), clusters(image, 8)):
        assert np.array_equal(patches >= 0, image > 0)
        numbers = np.unique(patches[patches >= 0])
        assert np.array_equal(numbers, np.arange(len(numbers)))
    assert clusters(image, 8).max() < 8


def test_clusters_follow_the_ink_and_are_about_as_large() -> None:
    for image in DIGITS:
        patches = clusters(image, 8)
        sizes = np.bincount(patches[patches >= 0], image[image > 0])
        assert len(sizes) == 8
        assert sizes.max() < 6 * sizes.min()


def test_a_coalition_keeps_its_patches_alone() -> None:
    image, patches = DIGITS[0], cells(DIGITS[0])
    count = patches.max() + 1
    none, every, first = keep(
        image, patches, np.array([np.zeros(count), np.ones(count), np.arange(count) == 0], bool)
    )
    assert keep(image, patches, np.ones((3, count), bool)).flags.c_contiguous
    assert not none.any()
    assert np.array_equal(every, image)
    assert np.array_equal(first, np.where(patches == 0, image, 0))


def test_footprints_stay_in_their_patch_and_sum_to_1() -> None:
    image, patches = DIGITS[1], clusters(DIGITS[1], 5)
    shares = footprints(image, patches)
    assert shares.sum((1, 2)) == pytest.approx(np.ones(5))
    for patch, share in enumerate(shares):
        assert np.array_equal(share > 0, patches == patch)
