from __future__ import annotations

import numpy as np
import pytest

from tests.training.digits import few
from training.measure.robustness.corruptions import ALONG_ONE_AXIS, CORRUPTIONS, DIAGONALLY, shift

IMAGES = few(10, 200).test_images
ONE_PIXEL = np.zeros((1, 28, 28), np.uint8)
ONE_PIXEL[0, 14, 14] = 255


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_it_changes_every_image_keeps_the_shape_and_is_repeatable(name: str) -> None:
    before = IMAGES.copy()
    corrupted = CORRUPTIONS[name](IMAGES)
    np.testing.assert_array_equal(IMAGES, before)
    assert corrupted.shape == IMAGES.shape
    assert corrupted.dtype == np.uint8
    assert (corrupted != IMAGES).any(axis=(1, 2)).all()
    np.testing.assert_array_equal(CORRUPTIONS[name](IMAGES), corrupted)


@pytest.mark.parametrize("steps", [ALONG_ONE_AXIS, DIAGONALLY])
def test_a_shift_moves_by_four_pixels_in_each_of_its_directions(
    steps: tuple[tuple[int, int], ...],
) -> None:
    shifted = shift(np.repeat(ONE_PIXEL, 100, axis=0), steps)
    _, rows, columns = np.nonzero(shifted)
    assert len(rows) == 100
    moves = zip((rows - 14).tolist(), (columns - 14).tolist(), strict=True)
    assert set(moves) == set(steps)


def test_dilation_and_erosion_have_the_sides_in_their_names() -> None:
    assert np.count_nonzero(CORRUPTIONS["dilation 3x3"](ONE_PIXEL)) == 9
    hole = CORRUPTIONS["erosion 2x2"](255 - ONE_PIXEL)
    assert np.count_nonzero(hole == 0) == 4
    np.testing.assert_array_equal(np.argwhere(hole[0] == 0).mean(axis=0), [14.5, 14.5])


def test_noise_specks_contrast_and_blur_have_the_strength_in_their_names() -> None:
    grey = np.full((100, 28, 28), 128, np.uint8)
    noisy = CORRUPTIONS["normal noise 0.25"](grey).astype(float)
    inner = noisy[(noisy > 0) & (noisy < 255)]
    assert inner.std() == pytest.approx(0.25 * 255, rel=0.15)  # its tails are cut off
    specked = CORRUPTIONS["salt and pepper 10 %"](grey)
    assert np.mean(specked == 0) == pytest.approx(0.05, abs=0.005)
    assert np.mean(specked == 255) == pytest.approx(0.05, abs=0.005)
    assert (CORRUPTIONS["contrast x 0.5"](grey) == 64).all()
    blurred = CORRUPTIONS["blur 1 pixel"](ONE_PIXEL).astype(float)[0]
    places = np.arange(28) - 14.0
    assert (blurred * places**2).sum() / blurred.sum() == pytest.approx(1, abs=0.1)


def test_a_rotation_turns_either_way() -> None:
    bar = np.zeros((100, 28, 28), np.uint8)
    bar[:, 4:24, 13:15] = 255
    slopes = []
    for image in CORRUPTIONS["rotation 25 degrees"](bar):
        rows, columns = np.nonzero(image > 127)
        slopes.append(np.degrees(np.arctan(np.polyfit(rows, columns, 1)[0])))
    np.testing.assert_allclose(np.abs(slopes), 25, atol=2)
    assert 20 < sum(slope > 0 for slope in slopes) < 80
