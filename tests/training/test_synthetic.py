from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from training import synthetic

KINDS = ("letters", "scribbles", "textures", "noise", "flat fields")


def test_printed_digits_are_every_digit_in_every_font() -> None:
    images, labels = synthetic.printed_digits()
    assert images.shape == (10 * len(synthetic.FONTS), 28, 28)
    assert images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [len(synthetic.FONTS)] * 10
    assert len({bytes(image) for image in images}) >= 10 * (len(synthetic.FONTS) - 2)


def test_printed_digits_are_read_by_a_network_of_mnist() -> None:
    """Not all of them: that is why they are learnt. But they are the digits they are said to be."""
    from pathlib import Path

    from service.repository import Repository
    from service.runtime import Runtime

    repository = Repository(Path(__file__).parents[2] / "models")
    champion = Runtime.load(repository.model_path(repository.champion()), provider="cpu")
    images, labels = synthetic.printed_digits()
    assert (champion.run(images).argmax(axis=1) == labels).mean() > 0.7


def test_the_same_seed_draws_the_same_non_digits_and_another_does_not() -> None:
    first, again, other = (synthetic.non_digits(seed, 50) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == (50, 28, 28)
    assert first.dtype == np.uint8


def test_every_kind_has_as_many_as_asked_for_and_they_differ() -> None:
    kinds = synthetic.kinds(np.random.default_rng(0), 40)
    assert tuple(kinds) == KINDS
    for name, images in kinds.items():
        assert images.shape == (40, 28, 28), name
        assert images.dtype == np.uint8
        assert len({bytes(image) for image in images}) > 20, name


@pytest.mark.parametrize("size", [(80, 10), (10, 80), (1, 1), (40, 40)])
def test_the_normal_form_is_20_pixels_about_the_centre_of_mass(size: tuple[int, int]) -> None:
    picture = Image.new("L", (200, 200))
    picture.paste(255, (30, 90, 30 + size[0], 90 + size[1]))
    field = synthetic.normal_form(picture)
    rows, columns = np.nonzero(field)
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    for places in (rows, columns):
        assert places.mean() == pytest.approx(13.5, abs=0.51)
