from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.digits import few

SEED = np.array((3, 4))
DIGITS = few().train_images.astype(np.float32)


def apply(kind: str, images: NDArray[np.float32] = DIGITS) -> Any:
    from training.data import augment

    return np.asarray(getattr(augment, kind)(images, SEED))


def ink(images: NDArray[np.float32]) -> Any:
    return images.sum(axis=(1, 2))


def test_every_kind_keeps_the_shape_changes_every_image_and_is_repeatable() -> None:
    from training.data import augment

    for kind in augment.KINDS:
        changed, again = np.asarray(kind(DIGITS, SEED)), np.asarray(kind(DIGITS, SEED))
        assert changed.shape == DIGITS.shape
        assert changed.dtype == np.float32
        assert (changed != DIGITS).any(axis=(1, 2)).mean() > 0.98, kind.__name__
        np.testing.assert_array_equal(changed, again)


def test_thicker_has_more_ink_and_thinner_less() -> None:
    assert (apply("thicken") >= DIGITS).all()
    assert (ink(apply("thicken")) > 1.2 * ink(DIGITS)).all()
    assert (apply("thin") <= DIGITS).all()
    assert (ink(apply("thin")) < 0.95 * ink(DIGITS)).all()


def test_fading_divides_each_image_by_its_own_factor() -> None:
    factors = ink(apply("fade")) / ink(DIGITS)
    assert 0.25 <= factors.min() < 0.3
    assert 0.95 < factors.max() <= 1


def test_noise_is_around_zero_and_of_its_deviation() -> None:
    noise = apply("roughen") - DIGITS
    deviations = noise.std(axis=(1, 2))
    assert abs(noise.mean()) < 1
    assert deviations.max() == pytest.approx(90, rel=0.1)
    assert deviations.min() < 5


def test_specks_are_black_and_white_on_up_to_15_percent_of_the_pixels() -> None:
    grey = np.full_like(DIGITS, 128)
    specked = apply("speck", grey)
    assert set(np.unique(specked)) == {0, 128, 255}
    shares = (specked != grey).mean(axis=(1, 2))
    assert shares.max() < 0.2
    assert shares.mean() == pytest.approx(0.075, abs=0.01)
    assert (specked == 0).sum() == pytest.approx((specked == 255).sum(), rel=0.1)


def test_blur_spreads_a_point_evenly_and_keeps_its_ink() -> None:
    point = np.zeros((100, 28, 28), np.float32)
    point[:, 14, 14] = 255
    blurred = apply("blur", point)
    np.testing.assert_allclose(ink(blurred), 255, rtol=1e-4)
    np.testing.assert_allclose(blurred, blurred.transpose(0, 2, 1), atol=1e-3)
    np.testing.assert_allclose(blurred[:, 14, 13], blurred[:, 14, 15], atol=1e-3)
    # e^(-1 / 2 s^2), s from 0.4 to 1.3
    ratios = blurred[:, 14, 13] / blurred[:, 14, 14]
    assert ratios.min() > 0.04
    assert ratios.max() < 0.75
    assert np.ptp(ratios) > 0.5


def test_coarse_digits_keep_their_ink_and_lose_their_detail() -> None:
    coarse = apply("coarsen")
    np.testing.assert_allclose(ink(coarse), ink(DIGITS), rtol=0.1)
    detail, before = (ink(np.abs(np.diff(images, axis=2))) for images in (coarse, DIGITS))
    lost = 1 - detail / before
    assert (lost > 0).mean() > 0.9
    assert lost[: len(lost) // 2].mean() > lost[len(lost) // 2 :].mean() > 0.1
