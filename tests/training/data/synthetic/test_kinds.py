from __future__ import annotations

import numpy as np
import pytest

from tests.training.digits import champion, few
from training.data import synthetic
from training.data.synthetic.fonts import FONTS

DIGITS = few(60).train_images


def test_printed_digits_are_every_digit_in_every_font() -> None:
    images, labels = synthetic.printed_digits()
    assert images.shape == (10 * len(FONTS), 28, 28)
    assert images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [len(FONTS)] * 10
    assert len({bytes(image) for image in images}) >= 10 * (len(FONTS) - 2)


def test_printed_digits_are_read_by_a_network_of_mnist() -> None:
    """Most of them, not all: that is why training includes them."""
    images, labels = synthetic.printed_digits()
    assert (champion().run(images).argmax(axis=1) == labels).mean() > 0.7


def test_the_same_seed_draws_the_same_non_digits_and_another_does_not() -> None:
    first, again, other = (synthetic.non_digits(DIGITS, seed, 100) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == (100, 28, 28)
    assert first.dtype == np.uint8


def test_every_kind_has_its_share_and_its_images_differ() -> None:
    assert sum(share for share, _ in synthetic.KINDS.values()) == pytest.approx(1)
    assert len(synthetic.non_digits(DIGITS, 0, 200)) == 200
    kinds = synthetic.kinds(DIGITS, np.random.default_rng(0), 40)
    assert tuple(kinds) == tuple(synthetic.KINDS)
    for name, images in kinds.items():
        assert images.shape == (40, 28, 28), name
        assert images.dtype == np.uint8
        assert len({bytes(image) for image in images}) > 20, name
