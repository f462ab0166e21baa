"""The best way through the pieces of a row: cut where that raises confidence, joined, left out."""

from __future__ import annotations

import numpy as np
import pytest

from service.imaging.components import Box
from service.numbers.lattice import Piece, Row
from service.numbers.lines import Group

WHOLE, LEFT, RIGHT = Box(0, 0, 42, 30), Box(0, 0, 26, 30), Box(22, 0, 21, 30)


def row(pieces: list[Piece], ends: list[int], *sizes: tuple[int, int]) -> Row:
    """A row of groups of these widths and heights."""
    none = np.zeros((0, 0))
    groups = [Group(Box(0, 0, *size), none > 0, none.astype(np.uint8), 0) for size in sizes]
    return Row(groups, pieces, ends)


PAIR = row([Piece(0, 1, LEFT, 0), Piece(0, 2, WHOLE, 1), Piece(1, 2, RIGHT, 2)], [0, 2], (42, 30))


def read(lattice: Row, *confidences: float) -> list[int]:
    """The images on the best way, each taken for the digit of its own number."""
    digits = np.arange(len(confidences))
    path = lattice.best_path(digits, np.array(confidences, np.float32))
    return [piece.image for piece, _ in path]


@pytest.mark.parametrize(
    ("confidences", "images"),
    [
        ((0.99, 0.5, 0.99), [0, 2]),
        ((0.4, 0.9995, 0.5), [1]),
        ((0.99, 0.95, 0.1), [1]),
        ((0.5, 0.3, 0.5), [1]),  # all are unsure
    ],
)
def test_a_group_is_cut_only_if_that_raises_the_total_confidence(
    confidences: tuple[float, ...], images: list[int]
) -> None:
    assert read(PAIR, *confidences) == images


def test_strokes_apart_are_one_digit_where_they_are_sure_to_be_only_together() -> None:
    apart = [Piece(0, 1, Box(0, 0, 24, 30), 0), Piece(1, 2, Box(26, 0, 24, 30), 2)]
    together = Piece(0, 2, Box(0, 0, 50, 30), 1, joints=1)
    lattice = row([*apart, together], [0, 1, 2], (24, 30), (24, 30))
    assert read(lattice, 0.7, 0.999, 0.7) == [1]
    assert read(lattice, 0.999, 0.999, 0.999) == [0, 2]


@pytest.mark.parametrize(
    ("size", "digit", "is_read"),
    [
        pytest.param((9, 40), 1, True, id="a 1"),
        pytest.param((4, 12), 1, False, id="a comma"),
        pytest.param((10, 14), 8, True, id="a small 8"),
        pytest.param((26, 60), 1, False, id="a slash"),
        pytest.param((40, 60), 8, True, id="a large 8"),
    ],
)
def test_a_low_or_high_1_is_left_out(size: tuple[int, int], digit: int, is_read: bool) -> None:
    """Between two digits."""
    sizes = [(30, 40), size, (30, 40)]
    pieces = [Piece(at, at + 1, Box(0, 0, *one), at) for at, one in enumerate(sizes)]
    lattice = row(pieces, [0, 1, 2, 3], *sizes)
    path = lattice.best_path(np.array([3, digit, 3]), np.array([0.999, 0.9995, 0.999], np.float32))
    assert [piece.image for piece, _ in path] == ([0, 1, 2] if is_read else [0, 2])
