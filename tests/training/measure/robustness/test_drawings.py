from __future__ import annotations

import numpy as np

from tests.training.digits import few
from training.measure.robustness import non_digits

DIGITS = few(40).train_images
RANDOM = np.random.default_rng(0)


def test_a_doodle_is_filled_or_hatched_inside_its_curve() -> None:
    hatched, filled = (non_digits.doodles(40, RANDOM)[half::2] for half in (0, 1))
    assert filled.mean() > hatched.mean()
    for doodle in (*hatched, *filled):
        assert doodle[10:18, 10:18].max() > 127
        assert doodle[0].max() == doodle[:, 0].max() == 0


def test_lines_that_cross_leave_less_blank_than_parallel_ones() -> None:
    pictures = non_digits.hatchings(60, RANDOM)
    parallel, crossing = pictures[::2], pictures[1::2]
    assert parallel.mean() < crossing.mean()
    assert (pictures.max(axis=(1, 2)) > 127).all()
    assert (pictures.min(axis=(1, 2)) < 64).all()


def test_three_digits_are_20_pixels_wide_and_lower_than_one() -> None:
    pictures = non_digits.three(DIGITS, RANDOM)
    assert pictures.shape == DIGITS.shape
    columns = np.ptp(np.flatnonzero(pictures.any(axis=(0, 1))))
    assert columns <= 24
    heights = [np.ptp(np.flatnonzero(picture.max(axis=1) > 64)) for picture in pictures]
    assert np.median(heights) < 15
