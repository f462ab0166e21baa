"""The best way through the pieces of a row: cut where that raises confidence, joined, left out."""

from __future__ import annotations

import numpy as np
import pytest

from service.imaging.components import Box
from service.numbers.lattice import Lattice, Piece

WHOLE, LEFT, RIGHT = Box(0, 0, 42, 30), Box(0, 0, 26, 30), Box(22, 0, 21, 30)
PAIR = Lattice(
    [Piece(0, 1, LEFT, 0), Piece(0, 2, WHOLE, 1), Piece(1, 2, RIGHT, 2)], [0, 2], [(42, 30)]
)


def read(lattice: Lattice, *confidences: float) -> list[int]:
    """The images on the best way, each taken for the digit of its own number."""
    digits = np.arange(len(confidences))
    path = lattice.best_path(digits, np.array(confidences, np.float32))
    return [piece.image for piece, _ in path]


@pytest.mark.parametrize(
    ("confidences", "images"),
    [((0.99, 0.5, 0.99), [0, 2]), ((0.4, 0.9995, 0.5), [1]), ((0.99, 0.95, 0.1), [1])],
)
def test_a_group_is_cut_where_that_raises_the_total_confidence(
    confidences: tuple[float, ...], images: list[int]
) -> None:
    assert read(PAIR, *confidences) == images


def test_strokes_apart_are_one_digit_where_they_are_sure_to_be_only_together() -> None:
    apart = [Piece(0, 1, Box(0, 0, 24, 30), 0), Piece(1, 2, Box(26, 0, 24, 30), 2)]
    together = Piece(0, 2, Box(0, 0, 50, 30), 1, joints=1)
    lattice = Lattice([*apart, together], [0, 1, 2], [(24, 30), (24, 30)])
    assert read(lattice, 0.7, 0.999, 0.7) == [1]
    assert read(lattice, 0.999, 0.999, 0.999) == [0, 2]


def test_a_group_whose_every_piece_is_unsure_is_taken_whole_and_not_cut() -> None:
    assert read(PAIR, 0.5, 0.3, 0.5) == [1]


def row_with(size: tuple[int, int], digit: int) -> tuple[Lattice, int]:
    """Two digits, and between them something of a width and height that is read as ``digit``."""
    sizes = [(30, 40), size, (30, 40)]
    pieces = [Piece(at, at + 1, Box(0, 0, *one), at) for at, one in enumerate(sizes)]
    return Lattice(pieces, [0, 1, 2, 3], sizes), digit


@pytest.mark.parametrize(
    ("size", "digit", "is_read"),
    [
        ((9, 40), 1, True),
        ((4, 12), 1, False),
        ((10, 14), 8, True),
        ((26, 60), 1, False),
        ((40, 60), 8, True),
    ],
    ids=["a 1", "a comma", "a small 8", "a slash", "a large 8"],
)
def test_a_low_or_high_1_is_left_out(size: tuple[int, int], digit: int, is_read: bool) -> None:
    lattice, digit = row_with(size, digit)
    path = lattice.best_path(np.array([3, digit, 3]), np.array([0.999, 0.9995, 0.999], np.float32))
    assert [piece.image for piece, _ in path] == ([0, 1, 2] if is_read else [0, 2])
