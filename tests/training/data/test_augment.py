from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.digits import few
from training.config import Config


def change(images: NDArray[np.uint8], seed: tuple[int, int] = (0, 0), **knobs: Any) -> Any:
    from training.data import augment

    return np.asarray(augment.change(images, Config(**knobs), seed))


def centre(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The centre of ink of each image, (n, 2): row and column."""
    weights = images / images.sum(axis=(1, 2), keepdims=True)
    rows = np.arange(28)
    return np.stack([weights.sum(axis=2) @ rows, weights.sum(axis=1) @ rows], axis=1)


def box(count: int, rows: slice, columns: slice) -> NDArray[np.uint8]:
    images = np.zeros((count, 28, 28), np.uint8)
    images[:, rows, columns] = 200
    return images


SMALL_BOX = box(500, slice(11, 17), slice(11, 17))


def test_without_settings_the_images_keep_their_bits() -> None:
    images = few().train_images
    moved = change(images)
    assert moved.dtype == np.uint8
    np.testing.assert_array_equal(moved, images)


@pytest.mark.parametrize("knob", ["shift", "rotation", "scale", "shear", "elastic"])
def test_each_setting_changes_every_image_by_its_own_amount(knob: str) -> None:
    same = np.repeat(few().train_images[:1], 50, axis=0)
    moved = change(same, **{knob: 0.5})  # type: ignore[arg-type]
    assert len(np.unique(moved.reshape(50, -1), axis=0)) > 40


def test_equal_seeds_give_equal_changes_and_other_seeds_do_not() -> None:
    images = few().train_images
    first, again, other = (
        change(images, seed, shift=2.0, rotation=10.0, scale=0.1, shear=5.0, elastic=0.5)
        for seed in ((3, 4), (3, 4), (3, 5))
    )
    np.testing.assert_array_equal(first, again)
    assert (other != first).any()


def test_a_shift_moves_within_its_bounds_both_ways() -> None:
    offsets = centre(change(SMALL_BOX, shift=3.0)) - centre(SMALL_BOX)
    assert np.abs(offsets).max() < 3.05
    assert (offsets.min(axis=0) < -2.5).all()
    assert (offsets.max(axis=0) > 2.5).all()
    assert abs(np.mean(offsets[:, 0] * offsets[:, 1])) < 0.6


@pytest.mark.parametrize("knobs", [{"rotation": 40.0}, {"scale": 0.4}, {"shear": 30.0}])
def test_turning_stretching_and_slanting_leave_the_centre_where_it_is(
    knobs: dict[str, Any],
) -> None:
    """The middle of the image is between the pixels 13 and 14."""
    upright = box(200, slice(10, 18), slice(12, 16))
    moved = change(upright, **knobs)
    np.testing.assert_allclose(centre(moved), 13.5, atol=0.1)
    assert (moved != upright).any(axis=(1, 2)).mean() > 0.9


def test_elastic_moves_neighbours_alike_and_distant_pixels_independently() -> None:
    def offsets(row: int, column: int) -> NDArray[np.float64]:
        dots = box(400, slice(row, row + 3), slice(column, column + 3))
        moved: NDArray[np.float64] = centre(change(dots, elastic=1.0)) - centre(dots)
        return moved[:, 0]

    here, beside, far = offsets(6, 6), offsets(6, 7), offsets(19, 19)
    assert 0.4 < here.std() < 1.2
    assert np.corrcoef(here, beside)[0, 1] > 0.9
    assert abs(np.corrcoef(here, far)[0, 1]) < 0.3


def test_scale_grows_and_shrinks() -> None:
    large = box(300, slice(8, 20), slice(8, 20))
    ink = change(large, scale=0.2).sum(axis=(1, 2)) / large.sum(axis=(1, 2))
    assert 0.6 < ink.min() < 0.8
    assert 1.2 < ink.max() < 1.5


def test_a_share_of_the_images_moves_farther() -> None:
    moved = change(SMALL_BOX, shift=2.0, wild=0.2)
    offsets = np.abs(centre(moved) - centre(SMALL_BOX)).max(axis=1)
    assert 4 < offsets[:100].max() < 4.65
    assert offsets[100:].max() < 2.05
