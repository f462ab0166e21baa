"""Find the cuts through strokes that may be several digits that touch.

A cut runs from top to bottom through little ink. Dynamic programming finds the cheapest path
through a pixel (as Breuel 2001 does for letters). The model's confidence picks the real cuts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.imaging.components import Mask, connected_components

Columns = NDArray[np.intp]

_LEAN = 0.6  # the cost of a step to the side, in pixels of ink
_MOST_INK = 0.6  # the largest cost of a cut, in heights of the mask
_LEAST_SHARE = 0.06  # the share of the ink on either side of a cut
_APART = 0.04  # the share of the ink between two cuts
_LEVELS = 4  # the search tries paths through every second pixel of so many rows
_LEAST_HOLE = 0.06  # the side of a square as large as a digit's smallest hole, in heights


@dataclass(frozen=True, slots=True)
class Cut:
    """A path down through a mask (h, w)."""

    columns: Columns  # (h,), to the right of the path
    holes: int  # how many it crosses; a hole, such as the inside of a 0, seldom is between digits


def cuts(mask: Mask, most: int) -> list[Cut]:
    """Returns up to ``most`` cuts through ``mask`` (h, w), from left to right."""
    height, width = mask.shape
    if most < 1 or min(height, width) < 2:
        return []
    cost, paths = _cheapest_paths(mask)
    rows = np.arange(height)
    before = np.cumsum(np.pad(mask, ((0, 0), (1, 0))), axis=1, dtype=np.int32)
    passed = before[rows[:, None], paths]  # the ink to the left of each path, row by row
    total = int(before[:, -1].sum())
    left = passed.sum(axis=0) / total
    eligible = (cost <= _MOST_INK * height) & (left > _LEAST_SHARE) & (left < 1 - _LEAST_SHARE)
    chosen: list[int] = []
    for path in np.argsort(cost, kind="stable"):
        if len(chosen) == most:
            break
        if not eligible[path]:
            continue
        between = np.abs(passed[:, chosen] - passed[:, [path]]).sum(axis=0)
        if between.min(initial=total) >= _APART * total:
            chosen.append(int(path))
    chosen.sort(key=lambda path: float(left[path]))
    holes = _holes(mask)
    return [Cut(path, len(set(holes[rows, path]) - {0})) for path in paths[:, chosen].T]


def _holes(mask: Mask) -> NDArray[np.int32]:
    """Returns the number of the hole at each pixel of ``mask`` (h, w), 0 for none."""
    background = connected_components(~np.pad(mask, 1))
    label = background.labels()
    is_hole = background.area > (_LEAST_HOLE * len(mask)) ** 2
    is_hole[label[0, 0]] = False
    return np.where((label >= 0) & is_hole[label], label + 1, 0)[1:-1, 1:-1]


def _cheapest_paths(mask: Mask) -> tuple[NDArray[np.float32], Columns]:
    """Returns the cost (n,) and columns (h, n) of the cheapest paths through some pixels."""
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
    """Returns the cost of the cheapest path from the top to each pixel, and its last step."""
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
