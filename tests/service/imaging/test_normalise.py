"""Strokes come out in the form of MNIST."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from service.imaging.components import Mask, bounding_box
from service.imaging.normalise import limit_stroke_width, normalise, stroke_width, to_image
from tests.service.decode.samples import digits


def bar(height: int, width: int, room: int = 4) -> Mask:
    """A vertical bar with background around it."""
    mask = np.zeros((height + 2 * room, width + 2 * room), bool)
    mask[room:-room, room:-room] = True
    return mask


@pytest.mark.parametrize(("height", "width"), [(400, 60), (60, 400), (9, 3), (57, 57)])
def test_the_longer_side_becomes_20_pixels_and_the_aspect_stays(height: int, width: int) -> None:
    wide, high = bounding_box(to_image(bar(height, width).astype(np.float32)) > 0)[2:]
    assert max(wide, high) == 20
    assert abs(wide / high - width / height) < 0.1 * max(1, width / height)


def test_the_centre_of_mass_is_in_the_middle() -> None:
    for image in digits()[:50]:
        placed = to_image((image / 255).astype(np.float32)).astype(float)
        for axis in (0, 1):
            assert abs(placed.sum(axis) @ np.arange(28) / placed.sum() - 13.5) <= 0.51


def test_mnists_own_images_change_little() -> None:
    images = digits()[:100]
    apart = np.array([normalise(image, image > 100, 60) for image in images]) - images.astype(int)
    assert np.abs(apart).mean() < 18


@pytest.mark.parametrize("width", [4, 9, 20])
def test_a_stroke_s_width_is_measured(width: int) -> None:
    assert stroke_width(bar(400, width)) == pytest.approx(width, rel=0.3)


@pytest.mark.parametrize(("width", "least", "most"), [(1, 1.5, 2.6), (10, 2, 3), (24, 3, 4.8)])
def test_strokes_come_into_mnist_s_range(width: int, least: float, most: float) -> None:
    """4 pixels of these strokes are one of MNIST's."""
    strokes = np.zeros((120, 120), bool)
    strokes[20:100, 60 - width // 2 : 60 - width // 2 + width] = True
    common = limit_stroke_width(strokes.astype(np.float32), 4)
    assert least < stroke_width(common >= 0.5) / 4 < most


def test_the_loop_of_a_bold_blurred_digit_stays_open() -> None:
    y, x = np.mgrid[:120, :120]
    ring = np.abs(np.hypot(x - 60, y - 60) - 28) < 17
    soft = Image.fromarray((ring * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(9))
    amount = np.asarray(soft)
    inside = normalise(amount, amount > 60, 60)[12:16, 12:16]
    assert amount[60, 60] > 0.5 * amount.max()
    assert inside.min() < 60


def test_no_ink_is_an_empty_image() -> None:
    mask = np.eye(30) > 0
    assert not normalise(np.zeros((30, 30), np.uint8), mask, 10).any()
