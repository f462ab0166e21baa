"""Textures are no numbers: they cost little time and few images."""

from __future__ import annotations

from time import thread_time

import numpy as np
import pytest

from service.imaging.load import Picture
from service.numbers.number import segment
from service.types import Images
from tests.corpus.strings import read
from tests.service.imaging.champion import champion

SHEET = (1000, 1280)


def strokes(count: int, high: int, wide: int) -> Images:
    random = np.random.default_rng(0)
    sheet = np.full(SHEET, 240, np.uint8)
    for _ in range(count):
        top, left = random.integers(5, 1000 - high - 5), random.integers(5, 1280 - wide - 5)
        sheet[top : top + high, left : left + wide] = 20
    return sheet


def grid(pitch: int, side: int) -> Images:
    rows, columns = np.mgrid[: SHEET[0], : SHEET[1]]
    return np.where((rows % pitch < side) & (columns % pitch < side), 20, 240).astype(np.uint8)


def spiral() -> Images:
    y, x = np.mgrid[-500:500, -640:640]
    turn = np.hypot(x, y) + np.arctan2(y, x) * 20 / np.pi
    return np.where(turn % 40 < 12, 20, 240).astype(np.uint8)


def noise() -> Images:
    return np.random.default_rng(0).integers(0, 256, SHEET, np.uint8)


def waves() -> Images:
    y, x = np.mgrid[:1000, :1280]
    waves: Images = (128 + 110 * np.sin(x / 6 + 3 * np.sin(y / 12))).astype(np.uint8)
    return waves


@pytest.mark.alone
@pytest.mark.parametrize("factor", [1, 4], ids=["1 MP", "20 MP"])
@pytest.mark.parametrize(
    "grey",
    [
        strokes(100, 60, 8),
        strokes(1000, 20, 4),
        strokes(5000, 12, 2),
        grid(40, 20),
        grid(60, 20),
        spiral(),
        waves(),
        noise(),
    ],
    ids=["few strokes", "strokes", "hairs", "dots", "fewer dots", "spiral", "waves", "noise"],
)
def test_a_texture_takes_bounded_time_and_has_few_images(grey: Images, factor: int) -> None:
    grey = np.kron(grey, np.ones((factor, factor), np.uint8))
    picture, times = Picture(grey, grey.shape[::-1]), []
    for _ in range(3):
        start = thread_time()
        read(champion(), picture, 0.44)
        times.append(thread_time() - start)
    assert min(times) < 0.4
    assert len(segment(picture).images) < 300
