"""Printed digits match their labels, and every kind of non-digit has its share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from service.inference.runtime import Runtime
from service.models.repository import Repository
from tests.training.digits import few
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
    repository = Repository(Path(__file__).parents[4] / "models")
    champion = Runtime.load(repository.model_path(repository.champion()), provider="cpu")
    images, labels = synthetic.printed_digits()
    assert (champion.run(images).argmax(axis=1) == labels).mean() > 0.7


def test_the_same_seed_draws_the_same_non_digits_and_another_does_not() -> None:
    first, again, other = (synthetic.non_digits(DIGITS, seed, 100) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == (100, 28, 28)
    assert first.dtype == np.uint8


def test_every_kind_has_its_share() -> None:
    assert sum(synthetic.SHARES.values()) == pytest.approx(1)
    assert len(synthetic.non_digits(DIGITS, 0, 200)) == 200
    assert tuple(synthetic.kinds(DIGITS, np.random.default_rng(0), 1)) == tuple(synthetic.SHARES)


def test_every_kind_has_as_many_as_asked_for_and_they_differ() -> None:
    for name, images in synthetic.kinds(DIGITS, np.random.default_rng(0), 40).items():
        assert images.shape == (40, 28, 28), name
        assert images.dtype == np.uint8
        assert len({bytes(image) for image in images}) > 20, name
