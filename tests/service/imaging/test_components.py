"""Connected parts, against a plain flood fill."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.imaging.components import Mask, connected_components


def flooded(mask: Mask) -> list[set[tuple[int, int]]]:
    """The parts, one pixel after the other."""
    left = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}
    parts = []
    while left:
        part, edge = set(), [left.pop()]
        while edge:
            row, column = edge.pop()
            part.add((row, column))
            around = {(row + y, column + x) for y in (-1, 0, 1) for x in (-1, 0, 1)} & left
            left -= around
            edge.extend(around)
        parts.append(part)
    return parts


@given(seed=st.integers(0, 10_000), height=st.integers(1, 24), width=st.integers(1, 24))
@example(seed=0, height=1, width=1)  # without a part
def test_parts_are_those_that_a_flood_finds(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.random((height, width)) < random.uniform(0.05, 0.7)
    values = random.integers(0, 256, mask.shape).astype(np.uint8)
    parts = connected_components(mask)
    expected = flooded(mask)
    assert len(parts) == len(expected)
    found = {}
    for number in range(len(parts)):
        pixels = parts.mask(np.array([number]))
        assert np.array_equal(parts.labels() == number, pixels)
        found[frozenset(zip(*map(np.ndarray.tolist, np.nonzero(pixels)), strict=True))] = number
    assert set(found) == set(map(frozenset, expected))
    sums = parts.sums(values)
    for places, number in found.items():
        rows, columns = zip(*places, strict=True)
        assert parts.area[number] == len(places)
        assert (parts.left[number], parts.right[number]) == (min(columns), max(columns) + 1)
        assert (parts.top[number], parts.bottom[number]) == (min(rows), max(rows) + 1)
        assert sums[number] == sum(int(values[row, column]) for row, column in places)


@pytest.mark.parametrize("turn", [0, 1])
def test_a_spiral_is_one_part(turn: int) -> None:
    spiral = np.array(
        [[1, 1, 1, 1, 1], [0, 0, 0, 0, 1], [1, 1, 1, 0, 1], [1, 0, 0, 0, 1], [1, 1, 1, 1, 1]], bool
    )
    assert len(connected_components(np.rot90(spiral, turn))) == 1
