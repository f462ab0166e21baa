from __future__ import annotations

import numpy as np

from tests.training.digits import few
from training.data.synthetic import fields

DIGITS = few(20).train_images


def test_digits_are_whole_at_the_given_distance_and_the_darker_ink_covers_the_other() -> None:
    pair = DIGITS[:2]
    wide = fields.side_by_side(pair, np.array([0, 3]), 28)
    assert wide.shape == (84, 84)
    np.testing.assert_array_equal(wide[28:56, 14:42], pair[0])
    np.testing.assert_array_equal(wide[31:59, 42:70], pair[1])
    assert wide.sum() == pair.sum(dtype=np.int64)
    over = fields.side_by_side(pair, np.array([0, 0]), 0)
    np.testing.assert_array_equal(over[28:56, 14:42], pair.max(axis=0))


def test_a_pair_has_more_ink_left_and_right_than_either_digit_alone() -> None:
    pictures = fields.two(DIGITS, 60, np.random.default_rng(0))
    large, small = pictures[::2], pictures[1::2]
    for side in (slice(0, 14), slice(14, 28)):
        assert (large[:, :, side].max(axis=(1, 2)) > 127).all()
    columns = (small > 0).any(axis=1)
    assert (columns.sum(axis=1) <= 20).all()
    assert columns.sum(axis=1).mean() > 17
