"""Cuts strokes that may be several digits touching each other.

A cut goes from top to bottom where it crosses little ink, leaning as it must (the path is the
cheapest one through a given pixel, found by dynamic programming, as in Breuel 2001 for letters).
There are more cuts than digits, each parting the ink in another way: which are real is not decided
here, the model's confidence in the pieces tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.imaging.components import Mask, connected_parts

Columns = NDArray[np.intp]

_LEAN = 0.6
"""What a step aside costs, in pixels of ink."""
_MOST_INK = 0.6
"""The most that a cut may cost, in heights of the mask."""
_LEAST_SHARE = 0.06
"""The least share of the ink on either side of a cut."""
_APART = 0.04
"""The least share of the ink between two cuts."""
_LEVELS = 4
"""Cuts are looked for through the pixels of so many rows, and of every second column."""
_LEAST_HOLE = 0.06
"""The side of the least square, in heights of the mask, that holds as much as a hole of a digit."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A way down through a mask (h, w)."""

    columns: Columns
    """(h,): the column that it passes before, in each row."""
    holes: int
    """How many holes it goes through: the inside of a 0 is one, and seldom lies between digits."""


def cuts(mask: Mask, most: int) -> list[Cut]:
    """Up to ``most`` ways down through ``mask`` (h, w), from left to right."""
    height, width = mask.shape
    if most < 1 or min(height, width) < 2:
        return []
    cost, paths = _cheapest_paths(mask)
    before = np.cumsum(np.pad(mask, ((0, 0), (1, 0))), axis=1, dtype=np.int32)
    passed = before[np.arange(height)[:, None], paths]  # the ink left of each path, row by row
    total = int(before[:, -1].sum())
    left = passed.sum(axis=0) / total
    able = (cost <= _MOST_INK * height) & (left > _LEAST_SHARE) & (left < 1 - _LEAST_SHARE)
    chosen: list[int] = []
    for path in np.argsort(cost, kind="stable"):
        if len(chosen) == most:
            break
        if not able[path]:
            continue
        between = np.abs(passed[:, chosen] - passed[:, [path]]).sum(axis=0)
        if between.min(initial=total) >= _APART * total:
            chosen.append(int(path))
    chosen.sort(key=lambda path: float(left[path]))
    holes = _holes(mask)
    return [Cut(way, len(set(holes[np.arange(height), way]) - {0})) for way in paths[:, chosen].T]


def _holes(mask: Mask) -> NDArray[np.int32]:
    """The number of the hole that each pixel of ``mask`` (h, w) lies in; 0 for none."""
    ground = connected_parts(~np.pad(mask, 1))
    number = ground.numbers()
    is_hole = ground.area > (_LEAST_HOLE * len(mask)) ** 2
    is_hole[number[0, 0]] = False
    holes: NDArray[np.int32] = np.where((number >= 0) & is_hole[number], number + 1, 0)[1:-1, 1:-1]
    return holes


def _cheapest_paths(mask: Mask) -> tuple[NDArray[np.float32], Columns]:
    """The cheapest ways through some of the pixels: what each costs (n,), its columns (h, n)."""
    height, width = mask.shape
    ink = mask.astype(np.float32)
    above, came_from = _costs(ink)
    below, goes_to = (array[::-1] for array in _costs(ink[::-1]))
    through = above + below - ink
    start = np.arange(0, width, 2)
    costs, paths = [], []
    for level in range(_LEVELS):
        middle = (2 * level + 1) * height // (2 * _LEVELS)
        path = np.empty((height, len(start)), np.intp)
        path[middle] = start
        for row in range(middle, 0, -1):
            path[row - 1] = path[row] + came_from[row, path[row]]
        for row in range(middle, height - 1):
            path[row + 1] = path[row] + goes_to[row, path[row]]
        costs.append(through[middle, start])
        paths.append(path)
    return np.concatenate(costs), np.concatenate(paths, axis=1)


def _costs(ink: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The cost of the cheapest way from the first row to each pixel, and the step it ends with."""
    height, width = ink.shape
    cost = ink.copy()
    step = np.zeros((height, width), np.int8)
    wide = np.full(width + 2, np.inf, np.float32)
    for row in range(1, height):
        wide[1:-1] = cost[row - 1]
        aside = np.minimum(wide[:-2], wide[2:]) + np.float32(_LEAN)
        leans = aside < wide[1:-1]
        cost[row] += np.where(leans, aside, wide[1:-1])
        step[row] = np.where(leans, np.where(wide[:-2] <= wide[2:], -1, 1), 0)
    return cost, step
