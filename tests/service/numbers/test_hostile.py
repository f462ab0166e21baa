"""Textures are no numbers: they cost little time and few images."""

from __future__ import annotations

from time import thread_time

import numpy as np
import pytest
from numpy.typing import NDArray

from service.background.large_work import FairThreads
from service.imaging.load import Picture
from service.numbers.lines import lines_in
from service.numbers.number import segment
from service.numbers.row import row_of
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


def dark(ink: NDArray[np.bool_]) -> Images:
    return np.where(ink, 20, 240).astype(np.uint8)


Y, X = np.mgrid[: SHEET[0], : SHEET[1]]
TEXTURES = {
    "few strokes": strokes(100, 60, 8),
    "strokes": strokes(1000, 20, 4),
    "hairs": strokes(5000, 12, 2),
    "dots": dark((Y % 40 < 20) & (X % 40 < 20)),
    "fewer dots": dark((Y % 60 < 20) & (X % 60 < 20)),
    "spiral": dark((np.hypot(X - 640, Y - 500) + np.arctan2(Y - 500, X - 640) * 6.37) % 40 < 12),
    "waves": (128 + 110 * np.sin(X / 6 + 3 * np.sin(Y / 12))).astype(np.uint8),
    "noise": np.random.default_rng(0).integers(0, 256, SHEET, np.uint8),
}


@pytest.mark.alone
@pytest.mark.parametrize("factor", [1, 4], ids=["1 MP", "20 MP"])
@pytest.mark.parametrize("name", TEXTURES)
def test_a_texture_takes_bounded_time_and_has_few_images(name: str, factor: int) -> None:
    grey = np.kron(TEXTURES[name], np.ones((factor, factor), np.uint8))
    picture, times = Picture(grey, grey.shape[::-1]), []
    for _ in range(3):
        start = thread_time()
        read(champion(), picture, 0.44)
        times.append(thread_time() - start)
    assert min(times) < 0.4
    assert len(segment(picture).images) < 300


def test_many_signs_of_one_caller_let_another_caller_in_between() -> None:
    lines = lines_in(dark((X % 1280 < 1200) & (Y % 12 < 4))[:1000, :1200])
    pool, images = FairThreads("one", 1), list[Images]()
    much = pool.submit("greedy", lambda: [row_of(line, images) for line in lines])
    pool.submit("honest", int).result.result(30)
    assert not much.result.done(), "the other caller waited for all of it"
    assert len(much.result.result(30)) == len(lines) > 50
    pool.shutdown()
